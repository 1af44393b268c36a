// Package cloudwatch is the destination of a trail: a log stream of AWS CloudWatch Logs.
//
// It owns the limits of PutLogEvents and the packing of records into batches (pure), the calls that make a group and a
// stream and write to them, and what AWS's errors mean. It must not retry without limit, wait for long or decide what
// becomes of a record: delivery does.
package cloudwatch
