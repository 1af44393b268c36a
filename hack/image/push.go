package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxBlob bounds a file of an image.
const maxBlob = 1 << 30

// push pushes the image in a tar to a registry, as whom Docker's or podman's configuration says, and returns its digest.
func push(ctx context.Context, path, target string) (v1.Hash, error) {
	reference, err := name.ParseReference(target)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the image's name: %w", err)
	}
	folder, err := os.MkdirTemp("", "trailkeeper-image-")
	if err != nil {
		return v1.Hash{}, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := unpack(path, folder); err != nil {
		return v1.Hash{}, err
	}
	all, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the image: %w", err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the image: %w", err)
	}
	if len(manifest.Manifests) != 1 {
		return v1.Hash{}, fmt.Errorf("%s holds %d images rather than one", path, len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	index, err := all.ImageIndex(digest)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("reading the image: %w", err)
	}
	if err := remote.WriteIndex(reference, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return v1.Hash{}, fmt.Errorf("pushing %s: %w", target, err)
	}
	return digest, nil
}

// unpack unpacks a tar that build wrote.
func unpack(path, folder string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	defer func() { _ = file.Close() }()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the image: %w", err)
		}
		if !filepath.IsLocal(header.Name) || header.Size > maxBlob {
			return fmt.Errorf("%s holds %q, which cannot be part of an image", path, header.Name)
		}
		if err := unpackOne(reader, header, filepath.Join(folder, header.Name)); err != nil {
			return err
		}
	}
}

func unpackOne(reader io.Reader, header *tar.Header, path string) error {
	if header.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o755)
	}
	content, err := io.ReadAll(io.LimitReader(reader, maxBlob))
	if err != nil {
		return fmt.Errorf("reading %s: %w", header.Name, err)
	}
	return os.WriteFile(path, content, 0o644)
}
