package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	// program is where the operator is in the image.
	program = "/manager"
	// certificates is where Go looks first for the authorities that it trusts.
	certificates = "etc/ssl/certs/ca-certificates.crt"
)

// newLayer holds the operator and the certificates of public authorities, and nothing else: no shell, no user but the numeric
// one of the image's configuration.
func newLayer(binary string, created time.Time) (v1.Layer, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("reading the operator: %w", err)
	}
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, file := range []struct {
		name    string
		mode    int64
		content []byte
	}{
		{"etc/", 0o755, nil},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{certificates, 0o444, authorities()},
		{program[1:], 0o555, content},
	} {
		if err := add(writer, file.name, file.mode, file.content, created); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("writing the layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// authorities are Mozilla's roots as Go packs them, so that they come from a pinned module and not from this machine. Those
// with constraints, which a file cannot express, are left out.
func authorities() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // A buffer takes everything.
		}
	}
	return text.Bytes()
}

// add adds a file, or a folder when its name ends in a slash.
func add(writer *tar.Writer, name string, mode int64, content []byte, modified time.Time) error {
	header := &tar.Header{
		Name: name, Mode: mode, Size: int64(len(content)), ModTime: modified.UTC(), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
	}
	if name[len(name)-1] == '/' {
		header.Typeflag = tar.TypeDir
	}
	if err := writer.WriteHeader(header); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if _, err := writer.Write(content); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
