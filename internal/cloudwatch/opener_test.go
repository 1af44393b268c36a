package cloudwatch

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// TestAnotherAccountIsNoticedWithoutSTS: while STS does not say whose the keys are, the stream's ARN does; and what nobody
// says is not taken for granted once the trail has delivered to an account.
func TestAnotherAccountIsNoticedWithoutSTS(t *testing.T) {
	before := &v1alpha1.CallerIdentity{ARN: "arn:aws:iam::123456789012:user/audit", AccountID: "123456789012"}
	elsewhere := &v1alpha1.CallerIdentity{ARN: "arn:aws:iam::210987654321:user/audit", AccountID: "210987654321"}
	for name, c := range map[string]struct {
		before *v1alpha1.CallerIdentity
		answer awstest.Answer
		reason string
		looks  int
	}{
		"the same account":      {before, streams("foo"), "", 1},
		"another account":       {elsewhere, streams("foo"), v1alpha1.ReasonAccountChanged, 1},
		"no such stream":        {before, streams("foo-bar"), v1alpha1.ReasonUnreachable, 2},
		"no such group":         {before, awstest.Answer{Code: "ResourceNotFoundException"}, v1alpha1.ReasonUnreachable, 2},
		"keys are unknown":      {before, awstest.Answer{Code: "UnrecognizedClientException"}, v1alpha1.ReasonInvalidAccessKey, 2},
		"nothing delivered yet": {nil, streams(), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server := awstest.Start(t)
			server.Fail("GetCallerIdentity", "ServiceUnavailable")
			server.On("DescribeLogStreams", func(awstest.Call) awstest.Answer { return c.answer })
			opener, trail := newOpener(), testTrail()
			trail.Status.CallerIdentity = c.before
			for range 2 {
				_, err := opener.Open(t.Context(), trail)
				g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
				g.Expect(err == nil).To(Equal(c.reason == ""))
			}
			g.Expect(server.Calls("DescribeLogStreams")).To(HaveLen(c.looks), "what is known is not asked again")
		})
	}
}
