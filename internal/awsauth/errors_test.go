package awsauth

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/aws/smithy-go"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

func TestCodesInXML(t *testing.T) {
	cases := map[string]string{
		`<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>m</Message></Error>`: "AccessDenied",
		`<ErrorResponse><Errors><Error><Code>AuthFailure</Code></Error></Errors>`:           "AuthFailure",
		`<html><body>Blocked by proxy</body></html>`:                                        "",
		`<Error><Code>key AKIA1 secret s3cr3t</Code></Error>`:                               "",
		`not XML`: "",
		``:        "",
	}
	for answer, want := range cases {
		t.Run(answer, func(t *testing.T) {
			err := fmt.Errorf("operation error: %w", &smithy.DeserializationError{Err: errors.New("not JSON"), Snapshot: []byte(answer)})
			NewWithT(t).Expect(Code(err)).To(Equal(want))
		})
	}
	denied := &smithy.DeserializationError{Err: errors.New("not JSON"), Snapshot: []byte(`<Error><Code>AccessDenied</Code></Error>`)}
	NewWithT(t).Expect(fault.ReasonOf(Fault("logs:PutLogEvents", denied))).To(Equal(v1alpha1.ReasonActionNotAllowed))
}

func TestAnEndpointWhoseNameDoesNotResolve(t *testing.T) {
	g := NewWithT(t)
	missing := fmt.Errorf("sending: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}})
	g.Expect(fault.ReasonOf(Fault("logs:DescribeLogStreams", missing))).To(Equal(v1alpha1.ReasonRegionUnusable))
	timeout := fmt.Errorf("sending: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "timeout", IsTimeout: true}})
	g.Expect(fault.ReasonOf(Fault("logs:DescribeLogStreams", timeout))).To(Equal(v1alpha1.ReasonUnreachable))
}
