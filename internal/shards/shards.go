package shards

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Max is the largest number of shards: the operator's Role names every Lease.
const Max = 16

// Of is the shard of the trail with a uid, the same on every replica and for the trail's whole life.
func Of(trail types.UID, count int) int {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(trail))         // It never fails.
	return int(hash.Sum64() % uint64(count)) //nolint:gosec // There are between 1 and Max shards.
}

// Options are what Shards need.
type Options struct {
	// Count is the number of shards.
	Count int
	// Lock is a shard's Lease.
	Lock func(shard int) resourcelock.Interface
	// Peers is how many replicas share the shards, this one included; 0 while that is not known.
	Peers func() int
	// Hold is responsible for a shard until the context ends, and returns when nothing of it is under way any more.
	Hold func(ctx context.Context, shard int)
	// Duration is how long others wait for a replica that fell silent.
	Duration time.Duration
	Clock    clock.Clock
}

// Shards are this replica's part.
type Shards struct {
	Options
	allotment allotment
}

// New returns Shards of which this replica holds none yet.
func New(options Options) *Shards {
	return &Shards{Options: options, allotment: allotment{held: map[int]bool{}, patience: 2 * options.Duration / 3}}
}

// Start holds this replica's share until the context ends, and has then given every Lease back.
func (s *Shards) Start(ctx context.Context) error {
	var group sync.WaitGroup
	for shard := range s.Count {
		group.Go(func() { s.tend(ctx, shard) })
	}
	group.Wait()
	return nil
}

// tend takes a shard whenever it is free and this replica has less than its share.
func (s *Shards) tend(ctx context.Context, shard int) {
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("shard", shard))
	l := &lease{lock: s.Lock(shard), clock: s.Clock, duration: s.Duration}
	failing := false
	for ctx.Err() == nil {
		err := l.look(ctx)
		if err == nil && l.free() && s.allotment.admit(shard, s.share(), l.freeFor() > 2*s.Duration) {
			if err = l.take(ctx); err == nil {
				s.hold(ctx, shard, l)
			}
			s.allotment.drop(shard)
		}
		failed := err != nil && ctx.Err() == nil && !isLostRace(err)
		if failed && !failing {
			log.FromContext(ctx).Error(err, "Cannot take part in the delivery of a shard, and will try again")
		}
		failing = failed
		s.sleep(ctx)
	}
}

// share is how many shards this replica should hold.
func (s *Shards) share() int {
	peers := s.Peers()
	if peers == 0 {
		return 0
	}
	return (s.Count + peers - 1) / peers
}

// hold is responsible for a shard until the context ends, the Lease is lost or others should have the shard. The Lease is
// renewed until what was under way has ended, and only then given back.
func (s *Shards) hold(ctx context.Context, shard int, l *lease) {
	held, end := context.WithCancel(ctx)
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Hold(held, shard)
	}()
	ctx = context.WithoutCancel(ctx)
	for {
		timer := s.Clock.NewTimer(s.pause())
		select {
		case <-done:
			timer.Stop()
			l.release(ctx)
			return
		case <-timer.C():
		}
		if err := l.renew(ctx); err != nil {
			log.FromContext(ctx).Info("Ending the delivery of a shard, because its Lease is lost", "reason", err.Error())
			end()
			<-done
			return
		}
		if held.Err() == nil && s.allotment.surplus(shard, s.share(), s.Clock.Now()) {
			log.FromContext(ctx).Info("Leaving the delivery of a shard to a replica that has fewer")
			end()
		}
	}
}

// pause is the time between two looks at a Lease, or two renewals.
func (s *Shards) pause() time.Duration {
	const spread = 0.4
	mean := float64(s.Duration / 4)
	return time.Duration(mean * (1 - spread/2 + spread*rand.Float64())) //nolint:gosec // Spreading load needs no secrecy.
}

func (s *Shards) sleep(ctx context.Context) {
	timer := s.Clock.NewTimer(s.pause())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}
