package shards

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
)

const duration = 15 * time.Second

// cluster is Leases with optimistic concurrency, and who is responsible for which shard.
type cluster struct {
	t     *testing.T
	count int

	mu     sync.Mutex
	leases map[int]stored
	// holders are the replicas that are responsible for each shard, and moved how often one began to be.
	holders map[int]map[string]bool
	moved   int
	// living is how many replicas there are.
	living atomic.Int64
}

type stored struct {
	record  resourcelock.LeaderElectionRecord
	version int
}

func newCluster(t *testing.T, count int) *cluster {
	t.Helper()
	return &cluster{t: t, count: count, leases: map[int]stored{}, holders: map[int]map[string]bool{}}
}

// lock is one replica's view of a Lease.
type lock struct {
	*cluster
	replica *replica
	shard   int
	version int
}

var leases = schema.GroupResource{Resource: "leases"}

var errAway = errors.New("the API server is away")

func (l *lock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.replica.away.Load() {
		return nil, nil, errAway
	}
	found, ok := l.leases[l.shard]
	if !ok {
		return nil, nil, apierrors.NewNotFound(leases, "x")
	}
	l.version = found.version
	raw, err := json.Marshal(found.record)
	return &found.record, raw, err
}

func (l *lock) Create(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.replica.away.Load() {
		return errAway
	}
	if _, ok := l.leases[l.shard]; ok {
		return apierrors.NewAlreadyExists(leases, "x")
	}
	l.version = 1
	l.leases[l.shard] = stored{record, 1}
	return nil
}

func (l *lock) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.replica.away.Load() {
		return errAway
	}
	if l.leases[l.shard].version != l.version {
		return apierrors.NewConflict(leases, "x", nil)
	}
	l.leases[l.shard] = stored{record, l.version + 1}
	if l.replica.deaf.Load() {
		return errAway // It was stored.
	}
	l.version++
	return nil
}

func (*lock) RecordEvent(string) {}

func (l *lock) Identity() string { return l.replica.name }

func (l *lock) Describe() string { return fmt.Sprint("shard ", l.shard) }

// replica is a running Shards.
type replica struct {
	name string
	// away makes every request fail, and deaf those that were stored.
	away, deaf atomic.Bool
	stop       func()
}

// start runs a replica until the test's end, which takes a while to end its responsibility for a shard.
func (c *cluster) start(name string, ending time.Duration) *replica {
	r := &replica{name: name}
	s := New(Options{
		Count: c.count,
		Lock:  func(shard int) resourcelock.Interface { return &lock{cluster: c, replica: r, shard: shard} },
		Peers: func() int { return int(c.living.Load()) },
		Hold: func(ctx context.Context, shard int) {
			c.note(shard, name, true)
			<-ctx.Done()
			<-time.After(ending)
			c.note(shard, name, false)
		},
		Duration: duration,
		Clock:    clock.RealClock{},
	})
	c.living.Add(1) // It counts itself before it takes anything.
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Start(ctx) // It never fails.
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done; c.living.Add(-1) })
	return r
}

func (c *cluster) note(shard int, name string, holds bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holders[shard] == nil {
		c.holders[shard] = map[string]bool{}
	}
	if !holds {
		delete(c.holders[shard], name)
		return
	}
	c.holders[shard][name] = true
	c.moved++
	if len(c.holders[shard]) > 1 {
		c.t.Errorf("shard %d has several holders: %v", shard, c.holders[shard])
	}
}

// shares are how many shards each replica holds, and none how many nobody does.
func (c *cluster) shares() (shares map[string]int, none int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	shares = map[string]int{}
	for shard := range c.count {
		if len(c.holders[shard]) == 0 {
			none++
		}
		for name := range c.holders[shard] {
			shares[name]++
		}
	}
	return shares, none
}

func (c *cluster) expect(want map[string]int) {
	c.t.Helper()
	synctest.Wait()
	shares, none := c.shares()
	NewWithT(c.t).Expect(shares).To(Equal(want))
	NewWithT(c.t).Expect(none).To(BeZero())
}

// pass lets time go by.
func pass(while time.Duration) { <-time.After(while) }

// TestReplicasShare: whoever comes gets its share, and whoever goes leaves it to the others, with one holder at any time.
func TestReplicasShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 8)
		a := c.start("a", time.Second)
		pass(10 * time.Second)
		c.expect(map[string]int{"a": 8})
		b, d := c.start("b", time.Second), c.start("d", time.Second)
		pass(time.Minute)
		shares, none := c.shares()
		g := NewWithT(t)
		g.Expect(none).To(BeZero())
		g.Expect(shares).To(HaveKeyWithValue("a", 3))
		g.Expect(shares["b"] + shares["d"]).To(Equal(5))
		moved := c.moved
		pass(10 * time.Minute)
		g.Expect(c.moved).To(Equal(moved), "what is shared stays where it is")
		b.stop()
		pass(10 * time.Second)
		c.expect(map[string]int{"a": 4, "d": 4})
		d.stop()
		pass(10 * time.Second)
		c.expect(map[string]int{"a": 8})
		a.stop()
		_, none = c.shares()
		g.Expect(none).To(Equal(8))
	})
}

// TestASilentReplicaLosesItsShards: it ends its responsibility before the others take over, and gets its share again.
func TestASilentReplicaLosesItsShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		a, b := c.start("a", time.Second), c.start("b", time.Second)
		pass(time.Minute)
		c.expect(map[string]int{"a": 2, "b": 2})
		a.away.Store(true)
		c.living.Store(1)
		pass(2 * duration)
		c.expect(map[string]int{"b": 4})
		a.away.Store(false)
		c.living.Store(2)
		pass(time.Minute)
		c.expect(map[string]int{"a": 2, "b": 2})
		a.stop()
		b.stop()
	})
}

// TestALostAnswerLosesNoShard: a renewal that was stored without an answer conflicts with the next one of the same replica.
func TestALostAnswerLosesNoShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		a := c.start("a", 0)
		pass(10 * time.Second)
		for range 5 {
			a.deaf.Store(true)
			pass(duration / 4)
			a.deaf.Store(false)
			pass(duration / 2)
		}
		c.expect(map[string]int{"a": 1})
		NewWithT(t).Expect(c.moved).To(Equal(1))
		a.stop()
	})
}

// TestNobodyLeavesAShardAlone: replicas that count as peers and take nothing must not keep a shard from being delivered.
func TestNobodyLeavesAShardAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		c.living.Store(3)
		a := c.start("a", 0)
		pass(10 * time.Second)
		shares, none := c.shares()
		g := NewWithT(t)
		g.Expect(shares).To(Equal(map[string]int{"a": 1}))
		g.Expect(none).To(Equal(3))
		pass(2*duration + 10*time.Second)
		c.expect(map[string]int{"a": 4})
		a.stop()
	})
}

// TestNothingIsTakenBeforePeersAreKnown: a replica that cannot record yet does not deliver either.
func TestNothingIsTakenBeforePeersAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		c.living.Store(-1) // start makes it 0.
		a := c.start("a", 0)
		pass(10 * duration)
		_, none := c.shares()
		NewWithT(t).Expect(none).To(Equal(4))
		a.stop()
	})
}

// TestTheLeaseIsGivenBackLast: what was under way may take longer than a Lease lasts, and nobody else begins meanwhile.
func TestTheLeaseIsGivenBackLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		a := c.start("a", 3*duration)
		pass(10 * time.Second)
		b := c.start("b", 0)
		done := make(chan struct{})
		go func() { defer close(done); a.stop() }()
		pass(3*duration - time.Second)
		c.expect(map[string]int{"a": 1})
		<-done
		pass(duration / 2)
		c.expect(map[string]int{"b": 1})
		b.stop()
	})
}

func TestShardsAreEven(t *testing.T) {
	g := NewWithT(t)
	const trails = 8000
	counts := map[int]int{}
	for i := range trails {
		counts[Of(types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i*i)), 8)]++
	}
	for shard := range 8 {
		g.Expect(counts[shard]).To(BeNumerically("~", trails/8, trails/80))
	}
	g.Expect(Of("0d9a2b1e-6d0a-4c60-9f0e-2b6a3c1d4e5f", 8)).To(Equal(Of("0d9a2b1e-6d0a-4c60-9f0e-2b6a3c1d4e5f", 8)))
}
