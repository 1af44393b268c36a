// Package console tests the web page in a real browser, against a real API server: what people do on it, what hostile data and
// wrong tokens do to it, and whether it can be read by everybody. It writes pictures of the main states to out/console.
package console
