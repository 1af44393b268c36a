package cli

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

func TestRecently(t *testing.T) {
	g := NewWithT(t)
	row := func(name, id, trail string, outcome v1alpha1.Outcome) *query.Row {
		event := &v1alpha1.AuditEvent{}
		event.Name, event.Spec.ID, event.Spec.TrailRef.UID = name, id, trail
		return &query.Row{Event: event, Outcome: outcome}
	}
	seen := newRecently()
	g.Expect(seen.has(row("e1", "change", "a", ""))).To(BeFalse())
	g.Expect(seen.has(row("e1", "change", "a", ""))).To(BeTrue(), "the same event")
	g.Expect(seen.has(row("e1", "change", "a", v1alpha1.OutcomePersisted))).To(BeTrue(), "a list knows that it stuck")
	g.Expect(seen.has(row("e2", "change", "b", ""))).To(BeTrue(), "another trail's record of the change")
	g.Expect(seen.has(row("e3", "change", "a", ""))).To(BeFalse(), "the same trail's second event is another change")
	g.Expect(seen.has(row("e1", "change", "a", v1alpha1.OutcomeNotPersisted))).To(BeFalse(), "it did not stick after all")
	for n := range 2 * maxRecent {
		seen.has(row(fmt.Sprint("e", n, "x"), fmt.Sprint("c", n), "a", ""))
	}
	g.Expect(seen.trails.Len()).To(Equal(maxRecent))
}
