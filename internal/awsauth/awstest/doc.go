// Package awstest is a scripted AWS endpoint for tests of error handling: it answers each operation with what the test
// says and counts the calls. It knows no rules of AWS; the simulator does.
package awstest
