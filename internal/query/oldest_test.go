package query

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// The oldest event is found by its name as long as it is there, and anew when retention has pruned it.
func TestOldestIsRemembered(t *testing.T) {
	g := NewWithT(t)
	api := &fakeAPI{}
	for i := range 20 {
		api.events = append(api.events, event(epoch.Add(time.Duration(i)*time.Hour), i))
	}
	trail := &v1alpha1.AuditTrail{}
	trail.Namespace, trail.Name, trail.UID = "shop", "trail-1", "1"
	cluster := &Cluster{Reader: api, Namespace: "shop", Memory: NewMemory()}
	oldest := func() time.Time {
		at, err := cluster.Oldest(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		return at
	}
	g.Expect(oldest()).To(BeTemporally("==", epoch.Add(time.Hour)))
	api.lists = 0
	g.Expect(oldest()).To(BeTemporally("==", epoch.Add(time.Hour)))
	g.Expect(api.lists).To(Equal(1))
	g.Expect(api.byName).To(Equal(1), "and that one was for a single name")

	api.events = api.events[4:]
	g.Expect(oldest()).To(BeTemporally("==", epoch.Add(5*time.Hour)))
	api.events = nil
	g.Expect(oldest()).To(BeTemporally("~", time.Now(), time.Minute))
}
