package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed web
var files embed.FS

// policy lets the page load its own files and call its own server, and nothing else. No script can make markup of text: nothing
// may create a trusted type.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// namespaceMark in index.html stands for the operator's namespace.
const namespaceMark = "OPERATOR-NAMESPACE"

// file is one of the page's files, ready to be sent.
type file struct {
	contentType, etag string
	plain, zipped     []byte
}

// page serves the files. They are few and small, so they are compressed once, at the start.
type page struct{ files map[string]*file }

func newPage(namespace string) (*page, error) {
	p := &page{files: map[string]*file{}}
	err := fs.WalkDir(files, "web", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "web/index.html" {
			content = bytes.ReplaceAll(content, []byte(namespaceMark), []byte(namespace))
		}
		made, err := newFile(name, content)
		if err != nil {
			return err
		}
		p.files[strings.TrimPrefix(name, "web")] = made
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the console's files: %w", err)
	}
	p.files["/"] = p.files["/index.html"]
	return p, nil
}

func newFile(name string, content []byte) (*file, error) {
	sum := sha256.Sum256(content)
	made := &file{contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:8]) + `"`, plain: content}
	if path.Ext(name) == ".woff2" { // It is compressed already.
		return made, nil
	}
	var zipped bytes.Buffer
	w, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	made.zipped = zipped.Bytes()
	return made, nil
}

// contentType does not depend on what the machine knows of file names.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	default:
		return mime.TypeByExtension(ext)
	}
}

// ServeHTTP answers with a file. A browser asks each time whether it has changed, so that nobody sees half of two versions.
func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	found, ok := p.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", found.contentType)
	header.Set("Vary", "Accept-Encoding")
	header.Set("ETag", found.etag)
	if r.Header.Get("If-None-Match") == found.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	content := found.plain
	if found.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		content = found.zipped
	}
	_, _ = w.Write(content) // Whoever has gone reads no error.
}

// protect sets what every answer says to browsers.
func protect(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}
