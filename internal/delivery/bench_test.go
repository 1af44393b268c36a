package delivery

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/fault"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

// bench is a Delivery between fakes; in a synctest bubble the real clock is the bubble's.
type bench struct {
	*Delivery
	api    *fakeAPI
	trails *fakeTrails
	sink   *fakeSink
	trail  *v1alpha1.AuditTrail
}

func newBench(t *testing.T, trail *v1alpha1.AuditTrail) *bench {
	t.Helper()
	b := &bench{api: newFakeAPI(), trails: newFakeTrails(trail), sink: &fakeSink{}, trail: trail}
	b.Delivery = New(Options{
		Namespace: operatorNamespace, REST: b.api.rest(t), Reader: b.trails, Client: b.trails,
		Open:               func(context.Context, *v1alpha1.AuditTrail) (Sink, error) { return b.sink, nil },
		Forget:             func(*v1alpha1.AuditTrail) { b.sink.note("forget") },
		Metrics:            &metrics.Register(prometheus.NewRegistry()).Delivery,
		Digester:           audit.NewDigester([]byte("key")),
		DeletesAreRecorded: func(types.NamespacedName, *v1alpha1.ResourceReference) bool { return true },
		Clock:              clock.RealClock{},
	})
	b.feed.begin(1)
	return b
}

// courier is one that nothing runs yet.
func (b *bench) courier(t *testing.T) *courier {
	t.Helper()
	c, err := b.newCourier(b.trail)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	c.box.follow()
	return c
}

// start runs a courier until stop is called, and at the latest until the test ends.
func (b *bench) start(t *testing.T, c *courier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// fakeSink is a destination that keeps what it accepts.
type fakeSink struct {
	mu sync.Mutex
	// errs are the answers to the next calls of Put, before any is accepted.
	errs []error
	// poison is what a record must not contain.
	poison string
	// calls are what was asked for, in order: put, ensure, forget.
	calls   []string
	batches [][]cloudwatch.Record
	times   []time.Time
}

func (s *fakeSink) note(call string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
}

// Put accepts a batch, or gives the next error.
func (s *fakeSink) Put(_ context.Context, records []cloudwatch.Record) (cloudwatch.PutResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "put")
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return cloudwatch.PutResult{}, err
	}
	for i := range records {
		if s.poison != "" && strings.Contains(string(records[i].Message), s.poison) {
			return cloudwatch.PutResult{}, refused(v1alpha1.ReasonRecordRejected)
		}
	}
	s.batches, s.times = append(s.batches, records), append(s.times, time.Now())
	return cloudwatch.PutResult{Accepted: len(records)}, nil
}

// Ensure always succeeds.
func (s *fakeSink) Ensure(context.Context) (cloudwatch.Observed, error) {
	s.note("ensure")
	return cloudwatch.Observed{}, nil
}

// messages are what was accepted, in order.
func (s *fakeSink) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var messages []string
	for _, batch := range s.batches {
		for i := range batch {
			messages = append(messages, string(batch[i].Message))
		}
	}
	return messages
}

func (s *fakeSink) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// refused is an error of the destination.
func refused(reason string) error {
	return fault.Wait(reason, 0, fault.Text("CloudWatch Logs says "+reason, nil))
}
