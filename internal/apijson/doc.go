// Package apijson reads the JSON that the API server sends: the items of a list and the frames of a watch while they arrive, and of each the
// fields that are needed, in one pass and without decoding what is only passed on.
package apijson
