package cli

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestSelection(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	sel := selection{
		actions: []string{"delete", "CREATE"}, outcomes: []string{"unjudged", "Persisted"}, kinds: []string{"pod"}, name: "web",
		user: "alice", uid: "u", trail: "security", start: "2026-03-01", end: "2026-03-02T00:00:00+05:30",
	}
	filter, err := sel.filter(now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filter.Actions).To(Equal([]v1alpha1.Action{v1alpha1.ActionDelete, v1alpha1.ActionCreate}))
	g.Expect(filter.Outcomes).To(Equal([]v1alpha1.Outcome{"", v1alpha1.OutcomePersisted}))
	g.Expect(filter.Start).To(BeTemporally("==", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
	g.Expect(filter.End).To(BeTemporally("==", time.Date(2026, 3, 1, 18, 30, 0, 0, time.UTC)))
	g.Expect([]string{filter.Name, filter.User, filter.UID, filter.Trail, filter.Kinds[0]}).To(Equal([]string{"web", "alice", "u", "security", "pod"}))

	filter, err = (&selection{since: time.Hour}).filter(now)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(filter.Start).To(Equal(now.Add(-time.Hour)))
	g.Expect(filter.End.IsZero()).To(BeTrue())

	for name, wrong := range map[string]selection{
		"an action": {actions: []string{"make"}}, "an outcome": {outcomes: []string{"good"}}, "a time": {start: "tomorrow"},
		"an end": {end: "1"}, "both": {since: 1, start: "2026-03-01"}, "the end first": {start: "2026-03-02", end: "2026-03-02"},
		"the future": {since: -time.Hour},
	} {
		_, err := wrong.filter(now)
		g.Expect(err).To(HaveOccurred(), name)
	}
}
