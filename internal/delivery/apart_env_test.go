package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestOneTrailsDestinationHoldsUpNoOther: of twelve trails one is denied and one never answered. All events of the others
// arrive while neither has had an end of its first push, and their cursors are committed.
func TestOneTrailsDestinationHoldsUpNoOther(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	const healthy, each = 10, 20
	trails := make([]*v1alpha1.AuditTrail, 0, healthy+2)
	for _, name := range append([]string{"denied", "hanging"}, numberedTrails(healthy)...) {
		trails = append(trails, r.trail(t, func(trail *v1alpha1.AuditTrail) {
			trail.Name, trail.Spec.CloudWatch.LogGroupName = name, "/audit/"+name
		}))
	}
	put := cloudsim.Fault{Action: "PutLogEvents", Group: "/audit/denied", Effect: cloudsim.Fail, Code: "AccessDeniedException"}
	r.sim.Inject(put)
	put.Group, put.Effect, put.Code = "/audit/hanging", cloudsim.Hang, ""
	r.sim.Inject(put)
	l := r.lead(t)
	names := map[types.UID][]string{}
	for _, trail := range trails {
		r.serve(t, l, trail)
	}
	for i, trail := range trails {
		names[trail.UID] = r.record(t, trail, i*each, each)
	}
	for _, trail := range trails[2:] {
		g.Expect(r.expect(t, trail, names[trail.UID])).To(BeZero())
		g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 20*time.Millisecond).
			Should(And(Not(BeNil()), HaveField("Delivered", BeEquivalentTo(each))))
	}
	g.Expect(r.messages(trails[0])).To(BeEmpty())
	g.Expect(r.messages(trails[1])).To(BeEmpty())
	r.sim.ClearFaults()
	r.server.CloseClientConnections() // A call that hangs ends by itself after 30 s.
	l.Wake(client.ObjectKeyFromObject(trails[0]))
	for _, trail := range trails[:2] {
		g.Expect(r.expect(t, trail, names[trail.UID])).To(BeZero(), "what was not taken is kept")
	}
}

func numberedTrails(count int) []string {
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprintf("healthy-%d", i)
	}
	return names
}

// TestARetentionShorterThanTheOutage: the group keeps records for a day, and delivery was away for two.
func TestARetentionShorterThanTheOutage(t *testing.T) {
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	to := trail.Spec.CloudWatch
	r.sim.SetRetention(to.Region, to.LogGroupName, 1)
	events := make([]*v1alpha1.AuditEvent, 6)
	for i := range events {
		age := time.Minute
		if i < 4 {
			age = 48 * time.Hour
		}
		events[i] = newEvent(trail, eventName(i), time.Now().Add(-age))
		g.Expect(r.Create(t.Context(), events[i])).To(Succeed())
	}
	l := r.lead(t)
	r.serve(t, l, trail)
	g.Eventually(func() int { return len(r.messages(trail)) }, patience, 20*time.Millisecond).Should(Equal(len(events)))
	l.stop()
	g.Expect(r.read(t, trail).Status.Delivery).To(And(HaveField("Delivered", BeEquivalentTo(len(events))), HaveField("Rejected", BeZero())))
	var got []string
	for _, message := range r.messages(trail) {
		for _, event := range events {
			if strings.Contains(message, event.Name) {
				got = append(got, event.Name)
			}
		}
	}
	slices.Sort(got)
	g.Expect(got).To(Equal(inOrderOfRecording(t, events)))
}
