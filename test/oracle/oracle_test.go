package oracle

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/truth"
)

// beforeGap is how long before a gap a change may come that is not judged yet when the gap begins.
const beforeGap = 10 * time.Second

// size is how many requests a test makes: in the long form, or in the short one.
func size(long, short int64) int64 {
	if isSoak() {
		return long
	}
	return short
}

func TestOracle(t *testing.T) {
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyIgnore})
	w.work(t.Context(), size(20000, 1500))
	w.expectTruth()
}

// expectTruth compares each trail with the audit log, once every event was judged.
func (w *world) expectTruth() {
	w.t.Helper()
	w.expect(wrong)
}

// expect fails where a difference is wrong.
func (w *world) expect(wrong func(*truth.Difference) bool) {
	w.t.Helper()
	w.denier.expectBusy(NewWithT(w.t))
	events := w.settle()
	entries, err := w.env.AuditLog()
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	facts, err := truth.Read(entries)
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	var total truth.Difference
	for _, trail := range w.trails {
		d := w.compare(trail, facts, events)
		w.say("%s/%s: %s", trail.Namespace, trail.Name, d.Summary())
		total.Add(&d)
	}
	if differences(&total) > 0 {
		// The first trail has everything.
		w.say("the trails do not say what happened (seed %d):\n%s\n%s", w.seed, total.Details(40),
			total.Around(40, entries, truth.Claims(w.trails[0], events)))
	}
	if wrong(&total) {
		w.t.Error("the trails do not say what happened: see above")
	}
	w.say("events of what the audit log does not tell for sure:\n%s", total.Doubts())
	w.say("%d requests, %d of %d refused by the other webhook, seed %d",
		w.people[0].requests.Load(), w.denier.denied.Load(), w.denier.asked.Load(), w.seed)
	_, _ = fmt.Fprintf(os.Stdout, "oracle: %s\n", total.Summary())
}

// wrong says that trails and log differ. Of a change to a pod between the two halves of its deletion, of an eviction that meets the
// pod's creation, and of what waits in an etcd that stands still, delivery does not always find out what became. The short form, whose
// requests all meet within half a minute, therefore allows for one difference in a hundred: a change differs in up to three trails. The
// long form allows for none.
func wrong(d *truth.Difference) bool {
	return differences(d) > 0 && (isSoak() || differences(d)*100 > d.Truth)
}

// claimsWrong says that something is missing, or claimed that did not happen: of what nobody can tell, as where another webhook keeps one of
// two requests for seconds, Unknown is the truth. Two in a hundred may be, or of a few requests some: each counts once for each of up to three
// trails.
func claimsWrong(d *truth.Difference) bool {
	claimed := func(c truth.Claim) bool { return c.Outcome != v1alpha1.OutcomeUnknown }
	return len(d.Missed) > 0 || slices.ContainsFunc(d.Extra, claimed) || slices.ContainsFunc(d.Duplicated, claimed) ||
		differences(d) > max(d.Truth/50, 12)
}

func differences(d *truth.Difference) int { return len(d.Missed) + len(d.Extra) + len(d.Duplicated) }

// settle waits until nobody makes changes any more and every event was judged, and returns all events. Controllers, which never come to
// rest, are stopped.
func (w *world) settle() []v1alpha1.AuditEvent {
	w.t.Helper()
	w.env.StopControllers()
	w.stopKubelet()
	var events v1alpha1.AuditEventList
	before, asked := -1, time.Time{}
	NewWithT(w.t).Eventually(func(g Gomega) {
		asked = time.Now()
		g.Expect(w.admin.List(w.t.Context(), &events)).To(Succeed())
		count := len(events.Items)
		quiet := count == before
		before = count
		g.Expect(quiet).To(BeTrue(), "events are still being recorded")
		for i := range w.operator.Size() {
			waiting, err := w.operator.Replica(i).Spilled(w.t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(waiting).To(BeZero(), "events wait in local files")
		}
		for _, trail := range w.trails {
			g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
			g.Expect(trail.Status.Delivery).NotTo(BeNil())
			g.Expect(trail.Status.Delivery.Sequence).To(BeEquivalentTo(countOf(trail, events.Items)), trail.Name)
		}
	}).WithTimeout(2 * patience).WithPolling(3 * time.Second).Should(Succeed())
	w.ended = asked.Add(-time.Second) // What the API server did itself since may not have been judged.
	NewWithT(w.t).Expect(w.admin.List(w.t.Context(), &events)).To(Succeed(), "the last outcomes came after the list above")
	return events.Items
}

// countOf is how many events a trail has, of whatever kind.
func countOf(trail *v1alpha1.AuditTrail, events []v1alpha1.AuditEvent) int {
	count := 0
	for i := range events {
		if events[i].Spec.TrailRef.UID == string(trail.UID) {
			count++
		}
	}
	return count
}

// compare compares one trail with the audit log.
func (w *world) compare(trail *v1alpha1.AuditTrail, facts []truth.Fact, events []v1alpha1.AuditEvent) truth.Difference {
	wants := truth.Wants(trail, testenv.OperatorNamespace)
	facts = slices.DeleteFunc(slices.Clone(facts), func(f truth.Fact) bool {
		return !wants(&f) || !w.isMeant(f.Entry.RequestReceivedTimestamp)
	})
	claims := slices.DeleteFunc(truth.Claims(trail, events), func(c truth.Claim) bool {
		return !w.isMeant(c.Spec.Time.Time)
	})
	d := truth.Compare(facts, claims)
	// Of what the API server did not log nobody knows whether it happened. Where it did, the next try of it changed nothing.
	unlogged := func(c truth.Claim) bool { return w.isBlind(c.Spec.Time.Time) }
	d.Missed = slices.DeleteFunc(d.Missed, func(f truth.Fact) bool {
		return slices.ContainsFunc(d.Extra, func(c truth.Claim) bool { return unlogged(c) && isEarlierTry(&c, &f) })
	})
	d.Extra, d.Duplicated = slices.DeleteFunc(d.Extra, unlogged), slices.DeleteFunc(d.Duplicated, unlogged)
	if trail.Spec.Recording.FailurePolicy == v1alpha1.FailurePolicyIgnore {
		// What was missed must lie in a gap; a change lasts from its request to its answer.
		missed := len(d.Missed)
		d.Missed = slices.DeleteFunc(d.Missed, func(f truth.Fact) bool {
			return slices.ContainsFunc(w.gaps, func(gap window) bool {
				return f.Entry.StageTimestamp.After(gap.from) && f.Entry.RequestReceivedTimestamp.Before(gap.to)
			})
		})
		// Whether what was created before a gap was deleted in it cannot be told.
		d.Extra = slices.DeleteFunc(d.Extra, func(c truth.Claim) bool {
			return c.Outcome == v1alpha1.OutcomeUnknown && slices.ContainsFunc(w.gaps, func(gap window) bool {
				return c.Spec.Time.After(gap.from.Add(-beforeGap)) && c.Spec.Time.Time.Before(gap.to)
			})
		})
		w.say("%s/%s: %d missed in gaps", trail.Namespace, trail.Name, missed-len(d.Missed))
	}
	return d
}

// isEarlierTry says that the claim is of what made the version that the fact's request only showed.
func isEarlierTry(c *truth.Claim, f *truth.Fact) bool {
	resource := &c.Spec.Resource
	return f.Before != 0 && resource.UID == f.UID && resource.ResourceVersion == strconv.FormatUint(f.Before, 10) &&
		c.Spec.Action == f.Action && slices.Contains(f.Users, c.Spec.Actor.Username) && c.Spec.Time.Time.Before(f.Entry.RequestReceivedTimestamp)
}

// isMeant says that the trails recorded at a moment, and that what they recorded has been listed.
func (w *world) isMeant(moment time.Time) bool {
	return !moment.Before(w.began) && !moment.After(w.ended)
}

func (w *world) isBlind(moment time.Time) bool {
	return slices.ContainsFunc(w.blind, func(b window) bool { return moment.After(b.from) && moment.Before(b.to) })
}
