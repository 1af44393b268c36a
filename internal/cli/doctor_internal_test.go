package cli

import (
	"bytes"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestSignsOfLife(t *testing.T) {
	g := NewWithT(t)
	const prefix = "recorder.audit.trailkeeper.dev/"
	alive, last := signsOfLife(map[string]string{
		prefix + "a":                      `{"replica":"a","seen":"2026-03-02T11:59:58Z"}`,
		prefix + "b":                      `{"replica":"b","seen":"2026-03-02T11:59:59Z","stopped":true}`,
		prefix + "c":                      `{"replica":"c","seen":"2026-03-02T11:58:00Z"}`,
		prefix + "d":                      `what is this`,
		"audit.trailkeeper.dev/accounted": "2026-03-02T12:00:00Z",
	}, noon)
	g.Expect(alive).To(Equal([]string{"a"}))
	g.Expect(last).To(Equal(noon.Add(-time.Second)))
}

func TestDoctorOfATrail(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "Because", Message: "Do this."}
	}
	at := func(back time.Duration) *metav1.Time { return new(metav1.NewTime(noon.Add(-back))) }
	for name, test := range map[string]struct {
		trail v1alpha1.AuditTrail
		want  string
	}{
		"ready": {v1alpha1.AuditTrail{Status: v1alpha1.AuditTrailStatus{Conditions: []metav1.Condition{condition("Ready", metav1.ConditionTrue)}}},
			"OK    Trail       shop/x is ready\n"},
		"suspended": {v1alpha1.AuditTrail{Spec: v1alpha1.AuditTrailSpec{Suspend: new(true)}},
			"WARN  Trail       shop/x is suspended: it records nothing\n                  → set spec.suspend to false\n"},
		"not seen": {v1alpha1.AuditTrail{}, "FAIL  Trail       shop/x has no conditions: the operator has not looked at it\n" +
			"                  → see that a replica of the operator leads: its log says so\n"},
		"broken": {v1alpha1.AuditTrail{Status: v1alpha1.AuditTrailStatus{Conditions: []metav1.Condition{
			condition("Ready", metav1.ConditionFalse), condition("CredentialsValid", metav1.ConditionFalse),
			condition("RetentionSufficient", metav1.ConditionFalse), condition("Delivering", metav1.ConditionUnknown),
		}}}, "FAIL  Trail       shop/x: CredentialsValid is False (Because)\n                  → Do this.\n" +
			"WARN  Trail       shop/x: RetentionSufficient is False (Because)\n                  → Do this.\n" +
			"WARN  Trail       shop/x: Delivering is Unknown (Because)\n                  → Do this.\n"},
		"new": {v1alpha1.AuditTrail{Status: v1alpha1.AuditTrailStatus{Conditions: []metav1.Condition{
			{Type: "Recording", Status: metav1.ConditionFalse, Reason: "WebhookPending", Message: "Not yet", LastTransitionTime: *at(time.Second)},
		}}}, "WARN  Trail       shop/x: Recording is False (WebhookPending)\n                  → Not yet\n"},
		"late": {v1alpha1.AuditTrail{Status: v1alpha1.AuditTrailStatus{
			Conditions: []metav1.Condition{condition("Ready", metav1.ConditionTrue)},
			Delivery:   &v1alpha1.DeliveryStatus{Pending: 2, Sequence: 9, LastDeliveredTime: at(time.Hour)},
			Ledger:     &v1alpha1.LedgerStatus{Sequence: 8, Time: at(3 * time.Hour)},
		}}, "WARN  Trail       shop/x: 2 events wait to be delivered, the last was at 2026-03-02 11:00:00Z\n" +
			"                  → see its condition Delivering, and docs/operations.md\n" +
			"WARN  Trail       shop/x: the last entry of its ledger is of 2026-03-02 09:00:00Z, and 1 record came since\n" +
			"                  → a policy that names the log stream must name the ledger's too: see docs/ledger.md\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := newSession(Terminal{Out: &out, Clock: clocktesting.NewFakePassiveClock(noon)})
			test.trail.Namespace, test.trail.Name = "shop", "x"
			for _, f := range (&examination{session: s}).trail(&test.trail) {
				s.printFinding(f)
			}
			NewWithT(t).Expect(out.String()).To(Equal(test.want))
		})
	}
}

func TestDoctorKnowsWhenTheAuthorityEnds(t *testing.T) {
	e := &examination{session: newSession(Terminal{Clock: clocktesting.NewFakePassiveClock(noon)})}
	NewWithT(t).Expect(e.authority(nil)[0].verdict).To(Equal(bad))
	NewWithT(t).Expect(e.authority([]byte("no certificate"))[0].verdict).To(Equal(bad))
	for valid, want := range map[time.Duration]verdict{-time.Second: bad, time.Hour: doubtful, 30 * 24 * time.Hour: good} {
		NewWithT(t).Expect(e.authority(authorityUntil(t, noon.Add(valid)))[0].verdict).To(Equal(want))
	}
}
