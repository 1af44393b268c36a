package delivery

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

const (
	// memory bounds the events that all couriers together hold before they are pushed, in bytes.
	memory = 24 << 20
	// minWindow and maxWindow bound one courier's share of it.
	minWindow = 64 << 10
	maxWindow = 4 << 20
	// copies bounds what all couriers together keep of backlogs that do not fit into memory, compressed, in bytes: some 60,000 events.
	// It is taken while they are read only.
	copies = 16 << 20
	// partsHeld is how many parts a courier's share is for while a backlog is read: what is delivered and what follows it, beside what
	// was read ahead of that.
	partsHeld = 2
)

// Options are what Delivery needs.
type Options struct {
	// Namespace is the operator's own, where events of namespaces that are being deleted are kept.
	Namespace string
	// REST reads AuditEvents and the objects that they speak of. It must not limit its own rate.
	REST rest.Interface
	// Reader reads trails from the API server itself, not from a cache.
	Reader client.Reader
	// Client writes status.
	Client client.Client
	// Open returns a trail's destination as its spec says now.
	Open func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error)
	// Forget drops what is cached of a trail's identity.
	Forget func(trail *v1alpha1.AuditTrail)
	// Metrics counts what is delivered.
	Metrics *metrics.Delivery
	// Digester compares evidence; its key is the recorders'.
	Digester audit.Digester
	// DeletesAreRecorded says whether a trail's rules ask for every deletion of such objects.
	DeletesAreRecorded func(trail types.NamespacedName, ref *v1alpha1.ResourceReference) bool
	// NothingMissed says whether all that a trail asks for was recorded since a moment. Default it was.
	NothingMissed func(trail types.NamespacedName, ref *v1alpha1.ResourceReference, since time.Time) bool
	// NearGap says whether what became of a trail's change at a moment may depend on what nobody recorded. Default it does not.
	NearGap func(trail types.NamespacedName, ref *v1alpha1.ResourceReference, moment time.Time) bool
	// AccountFor waits until it is known what was missed since a moment, or for some seconds, and says whether it had to. Default it is
	// known.
	AccountFor func(ctx context.Context, since time.Time) bool
	// Waiting is for how long events have been waiting in local files. Default none.
	Waiting func() time.Duration
	// Silent is for how long the API server has stored nothing that this replica asked it to. Default not at all.
	Silent func() time.Duration
	// Ledger keeps the ledgers of trails; nil keeps none.
	Ledger *Ledger
	// Announce records a gap in a trail itself. Default nobody is told.
	Announce func(ctx context.Context, gap Gap) error
	// Clock is the time. Default the real one.
	Clock clock.Clock

	// Limits bound what waits while destinations take nothing.
	Limits Limits
	// Settle is how long after its recording an event may be judged. Default 2 s.
	Settle time.Duration
	// Linger is how long events are collected for one call. Default 1 s.
	Linger time.Duration
	// CommitEvery is the shortest time between two writes of a trail's cursor. Default 5 s.
	CommitEvery time.Duration
	// Shards is into how many shards all replicas divide the trails. Default 1.
	Shards int
}

// Delivery runs a courier for each trail of the shards that this replica holds.
type Delivery struct {
	Options
	source  *source
	feed    *feed
	running watching
	cursors *committer
	// changed has something when this replica took a shard or left one.
	changed chan struct{}
	// maxChunk is how large a chunk's data becomes, about, in bytes.
	maxChunk int
	chunks   *chunks

	mu       sync.Mutex
	held     map[int]*holding
	couriers map[types.NamespacedName]*service
	// milestones are where couriers ended.
	milestones map[types.UID]milestone
}

// service is a courier and how to end it.
type service struct {
	*courier
	shard  int
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a Delivery that serves no trail yet.
func New(options Options) *Delivery {
	if options.Settle == 0 {
		options.Settle = 2 * time.Second
	}
	if options.Linger == 0 {
		options.Linger = time.Second
	}
	if options.CommitEvery == 0 {
		options.CommitEvery = 5 * time.Second
	}
	options.Shards = max(options.Shards, 1)
	if options.Waiting == nil {
		options.Waiting = func() time.Duration { return 0 }
	}
	if options.Silent == nil {
		options.Silent = func() time.Duration { return 0 }
	}
	if options.AccountFor == nil {
		options.AccountFor = func(context.Context, time.Time) bool { return false }
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Ledger != nil && options.Ledger.Every == 0 {
		options.Ledger.Every = checkpointEvery
	}
	options.Limits = options.Limits.withDefaults()
	source := &source{client: options.REST}
	return &Delivery{
		Options:  options,
		source:   source,
		feed:     newFeed(source, options.Clock),
		cursors:  &committer{reader: options.Reader, client: options.Client, clock: options.Clock},
		changed:  make(chan struct{}, 1),
		held:     map[int]*holding{},
		maxChunk: maxChunk,
		chunks:   newChunks(options.Client, options.Namespace, options.Clock),
		couriers: map[types.NamespacedName]*service{},

		milestones: map[types.UID]milestone{},
	}
}

// Serve makes sure that a courier delivers the trail's events, by the trail's present spec, if this replica holds its shard.
func (d *Delivery) Serve(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	key := client.ObjectKeyFromObject(trail)
	before := d.serviceOf(key)
	switch {
	case before == nil:
	case before.uid != trail.UID:
		// The trail was made again under the same name.
		d.Stop(key)
	case !before.ended():
		if previous := before.trail.Swap(trail); mayHelp(previous, trail) {
			before.wake()
			before.box.signal() // An idle courier looks whether the ledger is to be closed.
		}
		return nil
	}
	if !d.Holds(trail.UID) {
		return nil
	}
	// What a cache has may be older than the cursor that another replica wrote before it left the shard.
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	fresh := &v1alpha1.AuditTrail{}
	if err := d.Reader.Get(ctx, key, fresh); err != nil {
		return client.IgnoreNotFound(err)
	}
	return d.begin(fresh) //nolint:contextcheck // The courier's context is that of the shard.
}

// mayHelp says whether a trail changed in a way that lets its destination take what it refused before. The rest of its
// status is written by delivery itself.
func mayHelp(before, after *v1alpha1.AuditTrail) bool {
	return before.Generation != after.Generation || before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() || !maps.Equal(before.Annotations, after.Annotations) ||
		!equality.Semantic.DeepEqual(before.Status.CallerIdentity, after.Status.CallerIdentity)
}

// Wake has a push that was refused tried again at once, because something changed that the trail refers to.
func (d *Delivery) Wake(trail types.NamespacedName) {
	if served := d.serviceOf(trail); served != nil {
		served.wake()
	}
}

// Stop ends the delivery of a trail that is gone, and waits for its courier.
func (d *Delivery) Stop(trail types.NamespacedName) {
	d.mu.Lock()
	served := d.couriers[trail]
	delete(d.couriers, trail)
	d.mu.Unlock()
	if served == nil {
		return
	}
	served.cancel()
	<-served.done
}

func (d *Delivery) serviceOf(trail types.NamespacedName) *service {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.couriers[trail]
}

func (s *service) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (d *Delivery) newCourier(trail *v1alpha1.AuditTrail) (*courier, error) {
	at, err := loadCursor(trail)
	if err != nil {
		return nil, err
	}
	key := client.ObjectKeyFromObject(trail)
	c := &courier{
		delivery:  d,
		key:       key,
		uid:       trail.UID,
		box:       newInbox(d.windowBytesLocked()),
		changed:   make(chan struct{}, 1),
		at:        at,
		committed: progressOf(trail),
		reserve:   reserve{full: trail.BacklogIsFull()},
		judge: &judge{
			objects:  &objects{client: d.REST},
			digester: d.Digester,
			clock:    d.Clock,
			settle:   d.Settle,
			before:   d.feed.before,
			deletesAreRecorded: func(ref *v1alpha1.ResourceReference) bool {
				return d.DeletesAreRecorded(key, ref)
			},
			nearGap: func(ref *v1alpha1.ResourceReference, moment time.Time) bool {
				return d.NearGap != nil && d.NearGap(key, ref, moment)
			},
			nothingMissed: func(ref *v1alpha1.ResourceReference, since time.Time) bool {
				return d.NothingMissed == nil || d.NothingMissed(key, ref, since)
			},
		},
	}
	if before := trail.Status.Delivery; before != nil {
		c.inherited = before.Pending - before.Packed
	}
	asked := c.judge.nothingMissed
	c.judge.nothingMissed = func(ref *v1alpha1.ResourceReference, since time.Time) bool {
		return !c.refusedSince(since) && asked(ref, since)
	}
	c.trail.Store(trail)
	c.scribe = d.newScribe(c, trail)
	return c, nil
}

// placesOf are the namespaces in which a trail's events are kept.
func (d *Delivery) placesOf(namespace string) []string {
	if namespace == d.Namespace {
		return []string{namespace}
	}
	return []string{namespace, d.Namespace}
}

// windowBytes is one courier's share of the memory.
func (d *Delivery) windowBytes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.windowBytesLocked()
}

// copyBytes is one courier's share of the memory for copies.
func (d *Delivery) copyBytes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return copies / max(len(d.couriers), 1)
}

func (d *Delivery) windowBytesLocked() int {
	return min(max(memory/(len(d.couriers)+1), minWindow), maxWindow)
}

// Drained says whether everything that was recorded for a deleted trail is at or below the cursor in its status, and nothing
// waits in the memory of the replica that delivers it, as the status says.
func (d *Delivery) Drained(ctx context.Context, trail *v1alpha1.AuditTrail) (bool, error) {
	at, err := loadCursor(trail)
	if err != nil {
		return false, err
	}
	if status := trail.Status.Delivery; status == nil || status.DrainedTime == nil {
		return false, nil
	}
	if packed, err := d.chunks.of(ctx, trail.UID, at.version); err != nil || len(packed) > 0 {
		return false, err
	}
	list := d.backlogOf(client.ObjectKeyFromObject(trail), trail.UID)
	list.copyLimit = 0 // It is only counted.
	if _, err := list.open(ctx, at.version); err != nil {
		return false, err
	}
	return list.order.count == 0, nil
}

func (d *Delivery) backlogOf(trail types.NamespacedName, uid types.UID) *backlog {
	return &backlog{
		source:    d.source,
		trail:     trail,
		uid:       uid,
		places:    d.placesOf(trail.Namespace),
		opened:    d.Clock.Now(),
		limit:     d.windowBytes() / partsHeld,
		copyLimit: d.copyBytes(),
		packed: func(ctx context.Context, version uint64) (bool, error) {
			found, err := d.chunks.of(ctx, uid, version-1)
			return len(found) > 0 && found[0].first <= version, err
		},
	}
}
