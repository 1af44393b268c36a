package delivery

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	model "github.com/prometheus/client_model/go"
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
	// gaps are what trails were told.
	gaps     []Gap
	registry *prometheus.Registry
}

func newBench(t *testing.T, trail *v1alpha1.AuditTrail) *bench {
	t.Helper()
	b := &bench{api: newFakeAPI(), trails: newFakeTrails(trail), sink: &fakeSink{}, trail: trail, registry: prometheus.NewRegistry()}
	b.Delivery = New(Options{
		Namespace: operatorNamespace, REST: b.api.rest(t), Reader: b.trails, Client: b.trails,
		Open:     func(context.Context, *v1alpha1.AuditTrail) (Sink, error) { return b.sink, nil },
		Forget:   func(*v1alpha1.AuditTrail) { b.sink.note("forget") },
		Metrics:  &metrics.Register(b.registry).Delivery,
		Digester: audit.NewDigester([]byte("key")),
		Announce: func(_ context.Context, gap Gap) error {
			b.gaps = append(b.gaps, gap)
			return nil
		},
		DeletesAreRecorded: func(types.NamespacedName, *v1alpha1.ResourceReference) bool { return true },
		Clock:              clock.RealClock{},
	})
	b.feed.begin(1)
	b.trails.onPatch = func() uint64 {
		version := b.api.write()
		b.feed.give(t.Context(), version, nil)
		return version
	}
	return b
}

// counted is a counter's value, over all its series but those without a label's value, if one is given.
func (b *bench) counted(t *testing.T, name, value string) (sum float64) {
	t.Helper()
	families, err := b.registry.Gather()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != "trailkeeper_"+name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if value == "" || slices.ContainsFunc(metric.GetLabel(), func(l *model.LabelPair) bool { return l.GetValue() == value }) {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
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
	// absent says that the stream does not exist, until Ensure makes it; onEnsure is called then.
	absent   bool
	onEnsure func()
	// poison is what a record must not contain.
	poison string
	// keeps is for how long the group keeps records; 0 for ever.
	keeps time.Duration
	// refuses are what the next calls answer that are accepted; what they count is left out.
	refuses []cloudwatch.PutResult
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
	if s.absent {
		return cloudwatch.PutResult{}, refused(v1alpha1.ReasonDestinationNotFound)
	}
	for i := range records {
		if s.poison != "" && strings.Contains(string(records[i].Message), s.poison) {
			return cloudwatch.PutResult{}, refused(v1alpha1.ReasonRecordRejected)
		}
	}
	result, stored := s.judge(records)
	if len(s.refuses) > 0 {
		result, s.refuses = s.refuses[0], s.refuses[1:]
		stored = records[result.First() : result.First()+result.Accepted]
	}
	if len(stored) > 0 {
		s.batches, s.times = append(s.batches, stored), append(s.times, time.Now())
	}
	return result, nil
}

// Judge leaves out what is too old at the beginning of a batch, or too new at its end.
func (s *fakeSink) judge(records []cloudwatch.Record) (result cloudwatch.PutResult, stored []cloudwatch.Record) {
	for i := range records {
		switch age := time.Since(time.UnixMilli(records[i].Time)); {
		case age > cloudwatch.MaxAge:
			result.TooOld++
		case s.keeps > 0 && age > s.keeps:
			result.Expired++
		case -age > cloudwatch.MaxAhead:
			result.TooNew++
		default:
			stored = append(stored, records[i])
		}
	}
	result.Accepted = len(stored)
	return result, stored
}

// Ensure always succeeds.
func (s *fakeSink) Ensure(context.Context) (cloudwatch.Observed, error) {
	s.note("ensure")
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.absent
	s.absent = false
	if s.onEnsure != nil {
		s.onEnsure()
	}
	return cloudwatch.Observed{StreamCreated: made}, nil
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
