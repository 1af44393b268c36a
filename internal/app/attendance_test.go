package app

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestAFrozenReplicaWasAway(t *testing.T) {
	g := NewWithT(t)
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	a := &attendance{}
	g.Expect(a.coveredSince(at(0), at(1))).To(BeFalse(), "it was never ready")
	for second := 2; second <= 10; second++ {
		a.note(at(second))
	}
	g.Expect(a.coveredSince(at(1), at(10))).To(BeFalse(), "that was before it was ready")
	g.Expect(a.coveredSince(at(3), at(10))).To(BeTrue())

	// Whoever asks first after a freeze gets the truth, also before the next note.
	g.Expect(a.coveredSince(at(9), at(30))).To(BeFalse())
	a.note(at(31))
	g.Expect(a.coveredSince(at(29), at(31))).To(BeFalse())
	g.Expect(a.coveredSince(at(31), at(32))).To(BeTrue())
	a.extend(at(0))
	g.Expect(a.coveredSince(at(29), at(32))).To(BeFalse(), "the others were there until this one was, and not while it was frozen")
}

func TestOthersWereThereBefore(t *testing.T) {
	g := NewWithT(t)
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := &attendance{}
	a.extend(began)
	g.Expect(a.coveredSince(began.Add(time.Second), began.Add(2*time.Second))).To(BeFalse(), "it is not ready")
	a.note(began.Add(5 * time.Second))
	a.extend(began.Add(6 * time.Second))
	g.Expect(a.coveredSince(began.Add(4*time.Second), began.Add(6*time.Second))).To(BeFalse())
	a.extend(began)
	g.Expect(a.coveredSince(began.Add(time.Second), began.Add(6*time.Second))).To(BeTrue())
	g.Expect(a.coveredSince(began, began.Add(6*time.Second))).To(BeFalse())
}
