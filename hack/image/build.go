package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// What build writes into its folder.
const (
	tarName    = "trailkeeper-manager.tar"
	sbomName   = "trailkeeper-manager.spdx.json"
	digestName = "digest"
)

// user is the numeric user that the manifests ask for too.
const user = "65532:65532"

// binary is the operator for one architecture.
type binary struct{ architecture, path string }

// source is what an image is made of.
type source struct {
	name, revision string
	created        time.Time
	binaries       []binary
}

// write writes the image, its digest and its bill of materials, and returns the digest.
func (s source) write(folder string) (v1.Hash, error) {
	index, err := s.index()
	if err != nil {
		return v1.Hash{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("computing the image's digest: %w", err)
	}
	image, err := s.archive(index)
	if err != nil {
		return v1.Hash{}, err
	}
	bill, err := s.bill(digest)
	if err != nil {
		return v1.Hash{}, err
	}
	text, err := json.MarshalIndent(bill, "", "  ")
	if err != nil {
		return v1.Hash{}, fmt.Errorf("writing the bill of materials: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return v1.Hash{}, fmt.Errorf("making a folder: %w", err)
	}
	for name, content := range map[string][]byte{
		tarName: image, sbomName: append(text, '\n'), digestName: []byte(digest.String() + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return v1.Hash{}, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return digest, nil
}

// index is the image for all architectures.
func (s source) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range s.binaries {
		image, err := s.image(b)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", b.architecture, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: b.architecture}},
		})
	}
	return index, nil
}

func (s source) image(b binary) (v1.Image, error) {
	layer, err := newLayer(b.path, s.created)
	if err != nil {
		return nil, err
	}
	created := v1.Time{Time: s.created.UTC()}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer: layer, History: v1.History{Created: created, CreatedBy: "make image"},
	})
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", b.architecture, created
	config.Config = v1.Config{
		User:       user,
		Entrypoint: []string{program},
		WorkingDir: "/",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Trailkeeper",
			"org.opencontainers.image.source":   "https://github.com/trailkeeper/trailkeeper",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.revision": s.revision,
		},
	}
	return mutate.ConfigFile(image, config)
}

// archive is the image as a tarred OCI layout, as containerd, Docker from version 25, podman, skopeo and crane read it.
func (s source) archive(index v1.ImageIndex) ([]byte, error) {
	folder, err := os.MkdirTemp("", "trailkeeper-image-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return nil, fmt.Errorf("writing the image: %w", err)
	}
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          s.name,
		"org.opencontainers.image.ref.name": s.name,
	}))
	if err != nil {
		return nil, fmt.Errorf("writing the image: %w", err)
	}
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error { // In the order of names.
		if err != nil || name == "." {
			return err
		}
		if entry.IsDir() {
			return add(writer, name+"/", 0o755, nil, s.created)
		}
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		return add(writer, name, 0o644, content, s.created)
	})
	if err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("packing the image: %w", err)
	}
	return buffer.Bytes(), nil
}
