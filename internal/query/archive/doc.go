// Package archive finds AuditEvents that trails pushed to CloudWatch Logs and the cluster has no longer, as a place of package query.
//
// It reads with whatever identity its caller opens a log stream with, and must not decide who may read.
package archive
