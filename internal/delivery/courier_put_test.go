package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

// TestCourierRepairsAndReplays: what helps depends on what is wrong, and the same batch comes again.
func TestCourierRepairsAndReplays(t *testing.T) {
	tests := map[string]struct {
		errs []error
		want []string
	}{
		"throttled":      {[]error{refused(v1alpha1.ReasonThrottled), refused(v1alpha1.ReasonThrottled)}, []string{"put", "put", "put"}},
		"stream is gone": {[]error{refused(v1alpha1.ReasonDestinationNotFound)}, []string{"put", "ensure", "put"}},
		"keys are wrong": {[]error{refused(v1alpha1.ReasonInvalidAccessKey)}, []string{"put", "forget", "put"}},
		"anything else":  {[]error{errors.New("connection reset")}, []string{"put", "put"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				b.sink.errs = slices.Clone(test.errs)
				c := b.courier(t)
				for n := range 3 {
					b.offer(t, c, uint64(n+1), newEvent(b.trail, eventName(n), time.Now()))
				}
				stop := b.start(t, c)
				pause.For(t.Context(), time.Minute)
				stop()
				g.Expect(b.sink.asked()).To(Equal(test.want))
				g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(3)))
			})
		})
	}
}

// TestCourierTriesWithoutEnd: an outage of hours loses nothing, asks seldom, and shows its reason once.
func TestCourierTriesWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		for range 200 {
			b.sink.errs = append(b.sink.errs, refused(v1alpha1.ReasonUnreachable))
		}
		c := b.courier(t)
		b.offer(t, c, 1, newEvent(b.trail, eventName(0), time.Now()))
		stop := b.start(t, c)
		pause.For(t.Context(), time.Hour)
		g.Expect(b.trails.status(t).Conditions).To(ConsistOf(HaveField("Reason", v1alpha1.ReasonUnreachable)))
		g.Expect(len(b.sink.asked())).To(And(BeNumerically(">", 60), BeNumerically("<", 150)))
		writes := len(b.trails.writes())
		g.Expect(writes).To(BeNumerically("<=", 3))
		pause.For(t.Context(), 2*time.Hour)
		stop()
		g.Expect(linkNames(t, b.links(t))).To(Equal(numbered(1)))
		g.Expect(b.trails.status(t).Conditions).To(ConsistOf(HaveField("Status", metav1.ConditionTrue)))
	})
}

// TestAChangeEndsThePause: whoever repaired a trail does not wait for the next try, however long the pauses have become.
// Being throttled is not repaired by anybody.
func TestAChangeEndsThePause(t *testing.T) {
	for reason, ends := range map[string]bool{
		v1alpha1.ReasonInvalidAccessKey: true, v1alpha1.ReasonActionNotAllowed: true, v1alpha1.ReasonThrottled: false,
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				b := newBench(t, newTrail("shop", "security"))
				for range 500 {
					b.sink.errs = append(b.sink.errs, refused(reason))
				}
				c := b.courier(t)
				b.offer(t, c, 1, newEvent(b.trail, eventName(0), time.Now()))
				stop := b.start(t, c)
				c.wake() // Before the first try, of which it tells nothing.
				pause.For(t.Context(), 10*time.Minute)
				puts := func() int { return len(b.sink.asked()) }
				before := puts()
				c.wake()
				synctest.Wait()
				g.Expect(puts() > before).To(Equal(ends))
				pause.For(t.Context(), time.Second)
				g.Expect(puts() > before+2).To(Equal(ends), "pauses begin anew")
				stop()
			})
		})
	}
}

// TestWhatMayHelp: a trail's own status is written by delivery all the time, and helps nobody.
func TestWhatMayHelp(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.AuditTrail)
		want   bool
	}{
		"nothing":    {func(*v1alpha1.AuditTrail) {}, false},
		"cursor":     {func(t *v1alpha1.AuditTrail) { t.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: "2"} }, false},
		"conditions": {func(t *v1alpha1.AuditTrail) { t.Status.Conditions = []metav1.Condition{{Type: "Ready"}} }, false},
		"spec":       {func(t *v1alpha1.AuditTrail) { t.Generation++ }, true},
		"annotation": {func(t *v1alpha1.AuditTrail) {
			t.Annotations = map[string]string{v1alpha1.AcceptAccountAnnotation: "222222222222"}
		}, true},
		"identity": {func(t *v1alpha1.AuditTrail) { t.Status.CallerIdentity = &v1alpha1.CallerIdentity{ARN: "a"} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			before := newTrail("shop", "security")
			after := before.DeepCopy()
			test.change(after)
			NewWithT(t).Expect(mayHelp(before, after)).To(Equal(test.want))
		})
	}
}

// TestCourierQuarantinesPoison: only what the destination refuses for good is missing, and it is counted.
func TestCourierQuarantinesPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.sink.poison = "poison"
		c := b.courier(t)
		var want []string
		for n := range 50 {
			event := newEvent(b.trail, eventName(n), time.Now())
			if n%17 == 3 {
				event.Spec.Note = "this is poison"
			} else {
				want = append(want, event.Name)
			}
			b.offer(t, c, uint64(n+1), event)
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		var names []string
		for _, message := range b.sink.messages() {
			link, err := ledger.ReadLink([]byte(message))
			g.Expect(err).NotTo(HaveOccurred())
			names = append(names, linkNames(t, []ledger.Link{link})...)
		}
		g.Expect(names).To(Equal(want))
		g.Expect(b.trails.status(t).Conditions).To(ContainElement(And(HaveField("Type", v1alpha1.CompleteCondition),
			HaveField("Status", metav1.ConditionFalse), HaveField("Message", HavePrefix("The destination refused 3 records for good")))))
		g.Expect(b.gaps).To(HaveLen(1))
		g.Expect(b.gaps[0].Notice).To(And(HaveField("Count", HaveValue(BeEquivalentTo(3))),
			HaveField("Message", HaveSuffix("(RecordRejected): event-00003, event-00020, event-00037"))))
		g.Expect(b.counted(t, "delivery_quarantined_records_total", "")).To(BeEquivalentTo(3))
		g.Expect(b.counted(t, "delivery_rejected_records_total", "RecordRejected")).To(BeEquivalentTo(3))
		g.Expect(b.trails.status(t).Delivery).To(And(HaveField("Rejected", BeEquivalentTo(3)),
			HaveField("Delivered", BeEquivalentTo(47)), HaveField("Sequence", BeEquivalentTo(50))))
	})
}

func TestCourierLeavesOutWhatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		for n := range 3 {
			event := newEvent(b.trail, eventName(n), time.Now())
			if n == 1 {
				event.Spec.Request.FieldManager = string(make([]byte, cloudwatch.MaxEventBytes))
			}
			b.offer(t, c, uint64(n+1), event)
		}
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.gaps).To(HaveExactElements(HaveField("Notice.Message", HaveSuffix("(TooLarge): event-00001"))))
		g.Expect(b.sink.messages()).To(HaveLen(2))
		g.Expect(b.trails.status(t).Delivery).To(And(HaveField("Rejected", BeEquivalentTo(1)),
			HaveField("Delivered", BeEquivalentTo(2)), HaveField("ResourceVersion", "3")))
	})
}

// TestOpeningHasADeadline: an API server that does not answer for the Secret holds neither a trail nor the stop.
func TestOpeningHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		b.Open = func(ctx context.Context, _ *v1alpha1.AuditTrail) (Sink, error) {
			_, bounded := ctx.Deadline()
			g.Expect(bounded).To(BeTrue())
			b.sink.note("open")
			return b.sink, nil
		}
		b.sink.errs = []error{refused(v1alpha1.ReasonDestinationNotFound)}
		c := b.courier(t)
		b.offer(t, c, 1, newEvent(b.trail, eventName(0), time.Now()))
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.sink.asked()).To(Equal([]string{"open", "put", "open", "ensure", "open", "put"}))
	})
}

// TestStamp: CloudWatch Logs refuses what is older than 14 days or more than 2 hours ahead; an hour is left to spare.
func TestStamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		b := newBench(t, newTrail("shop", "security"))
		c := b.courier(t)
		now := time.Now()
		for offset, kept := range map[time.Duration]bool{
			0:                          true,
			-cloudwatch.MaxAge:         false,
			-14*24*time.Hour + 61*60e9: true,
			-14*24*time.Hour + 59*60e9: false,
			59 * time.Minute:           true,
			61 * time.Minute:           false,
			cloudwatch.MaxAhead:        false,
		} {
			want := now
			if kept {
				want = now.Add(offset)
			}
			g.Expect(c.stamp(now.Add(offset))).To(Equal(want.UnixMilli()), "%s", offset)
		}

		old := now.Add(-30 * 24 * time.Hour)
		b.offer(t, c, 1, newEvent(b.trail, eventName(0), old))
		stop := b.start(t, c)
		pause.For(t.Context(), time.Minute)
		stop()
		g.Expect(b.sink.batches[0][0].Time).To(BeNumerically(">=", now.UnixMilli()))
		var event struct {
			Spec struct{ Time metav1.MicroTime }
		}
		g.Expect(json.Unmarshal(b.links(t)[0].Event, &event)).To(Succeed())
		g.Expect(event.Spec.Time.Equal(&metav1.MicroTime{Time: old})).To(BeTrue(), "the real time stays in the record")
	})
}
