package recorder

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// TestATrailWithAFullBacklog records no more: what becomes of the change is for its failurePolicy to say. Others go on.
func TestATrailWithAFullBacklog(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "full", full), newTrail("shop", "roomy"))
	response := r.ask(t, v1alpha1.FailurePolicyIgnore, update())
	g.Expect(response.Allowed).To(BeTrue())
	g.Expect(r.store.events).To(ConsistOf(HaveField("Spec.TrailRef.Name", "roomy")))
	g.Expect(r.turnedAway).To(Equal([]string{"shop/full"}))
	g.Expect(r.lost).To(BeEmpty())
	g.Expect(r.counter(t, unrecordedTotal, "")).To(BeEquivalentTo(1))

	r = newRig(newTrail("shop", "full", full, failing))
	response = r.ask(t, v1alpha1.FailurePolicyFail, update())
	g.Expect(response.Allowed).To(BeFalse())
	g.Expect(response.Result.Message).To(And(ContainSubstring("shop/full"), ContainSubstring("wait for a destination that takes none")))
	g.Expect(r.turnedAway).To(BeEmpty(), "a change that was refused is not missing")
	g.Expect(r.store.events).To(BeEmpty())
}

// TestAReplicaThatIsNotAcceptedAnyMore refuses what must be recorded: its local file is unlikely to last.
func TestAReplicaThatIsNotAcceptedAnyMore(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "a", failing))
	r.store.fail(errDisowned)
	g.Expect(r.ask(t, v1alpha1.FailurePolicyFail, update()).Allowed).To(BeFalse())
	g.Expect(r.counter(t, unrecordedTotal, "")).To(BeEquivalentTo(1))

	r = newRig(newTrail("shop", "a"))
	r.store.fail(errDisowned)
	g.Expect(r.ask(t, v1alpha1.FailurePolicyIgnore, update()).Allowed).To(BeTrue())
	g.Expect(r.lost).To(BeEmpty(), "the local file has it")
	g.Expect(r.counter(t, unrecordedTotal, "")).To(BeZero())
}

// TestWhatWasTurnedAwayIsTold apart from what could be recorded nowhere, in the trail itself, full as it is.
func TestWhatWasTurnedAwayIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		r := newNoticeRig(t, newTrail("shop", "a", full))
		began := time.Now()
		r.store.fail(errors.New("overloaded"))
		for range 7 {
			r.TurnedAway(ref("a"), time.Now())
			wait(time.Second)
		}
		r.Lost(ref("a"), began.Add(6*time.Second))
		wait(time.Minute)
		r.store.fail(nil)
		wait(time.Minute)
		gaps := r.told(v1alpha1.NoticeGap, "a")
		g.Expect(gaps).To(ConsistOf(
			And(HaveField("Count", HaveValue(BeEquivalentTo(7))), HaveField("Message", ContainSubstring("no more may")),
				HaveField("Start.Time", BeTemporally("==", began)), HaveField("End.Time", BeTemporally("==", began.Add(6*time.Second)))),
			And(HaveField("Count", HaveValue(BeEquivalentTo(1))), HaveField("Message", ContainSubstring("nowhere")))))
	})
}
