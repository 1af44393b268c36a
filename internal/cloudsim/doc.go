// Package cloudsim is a strict simulator of CloudWatch Logs and STS over HTTP, for tests, the demo and benchmarks.
//
// It owns the limits, error codes, signatures (SigV4) and permissions that the real services enforce, as their API
// references describe them, and faults that a test sets at run time. It holds everything in memory and is lost when
// it stops. It must not be imported by the operator, and it must not import the AWS SDK: its check of signatures is
// an independent one.
//
// Where a rule is ambiguous the stricter reading is taken: what works here should work at AWS. Left out are subscription, metric and JSON filters, presigned URLs, CBOR, and rate quotas (a Fault throttles).
package cloudsim
