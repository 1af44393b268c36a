package httpapi

import (
	_ "embed" // For the document.
	"net/http"
)

// document describes the API as OpenAPI 3.0.
//
//go:embed openapi.json
var document []byte

// serveDocument answers GET /openapi.json, which needs no token: it says nothing about the cluster.
func serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(document) // Who has gone does not read an error.
}
