package main

import (
	"debug/buildinfo"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What an SPDX 2.3 document says where nobody looked.
const noAssertion = "NOASSERTION"

// rootsModule is where the image's certificates come from.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// document is an SPDX 2.3 bill of materials, as far as it is used here.
type document struct {
	Version       string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	CreationInfo  creationInfo   `json:"creationInfo"`
	Packages      []part         `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creationInfo struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type part struct {
	ID               string      `json:"SPDXID"`
	Name             string      `json:"name"`
	Version          string      `json:"versionInfo"`
	DownloadLocation string      `json:"downloadLocation"`
	FilesAnalyzed    bool        `json:"filesAnalyzed"`
	References       []reference `json:"externalRefs"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// bill lists what is in the image: the modules that the binaries themselves say they were built from, the Go release, and the
// module of the certificates.
func (s source) bill(digest v1.Hash) (*document, error) {
	modules := map[string]string{}
	main := ""
	for _, b := range s.binaries {
		info, err := buildinfo.ReadFile(b.path)
		if err != nil {
			return nil, fmt.Errorf("reading what %s was built from: %w", b.path, err)
		}
		main = info.Main.Path
		modules["stdlib"] = strings.TrimPrefix(info.GoVersion, "go")
		collect(modules, info)
	}
	if own, ok := debug.ReadBuildInfo(); ok {
		for _, module := range own.Deps {
			if module.Path == rootsModule {
				modules[rootsModule] = module.Version
			}
		}
	}
	modules[main] = s.revision
	d := &document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: s.name,
		Namespace: "https://github.com/trailkeeper/trailkeeper/sbom/" + digest.Hex,
		CreationInfo: creationInfo{
			Created: s.created.UTC().Format(time.RFC3339), Creators: []string{"Tool: trailkeeper-hack-image"},
		},
	}
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		d.add(path, modules[path], path == main)
	}
	return d, nil
}

// collect adds the modules of a binary, each as what replaces it.
func collect(modules map[string]string, info *debug.BuildInfo) {
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		modules[module.Path] = module.Version
	}
}

func (d *document) add(path, version string, main bool) {
	id := fmt.Sprintf("SPDXRef-Package-%d", len(d.Packages)+1)
	d.Packages = append(d.Packages, part{
		ID: id, Name: path, Version: version, DownloadLocation: noAssertion,
		References: []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + path + "@" + version}},
	})
	kind := "CONTAINS"
	if main {
		kind = "DESCRIBES"
	}
	d.Relationships = append(d.Relationships, relationship{d.ID, kind, id})
}
