package delivery

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
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
	// objects is how all couriers see objects.
	objects objects.Reader
	// slowWebhooks is when other webhooks were seen to be slow.
	slowWebhooks outcome.SlowWebhooks

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
	options = options.withDefaults()
	source := &source{client: options.REST, watches: options.Watches}
	d := &Delivery{
		Options:  options,
		source:   source,
		feed:     newFeed(source, options.Clock),
		cursors:  &committer{reader: options.Reader, client: options.Client, clock: options.Clock},
		changed:  make(chan struct{}, 1),
		held:     map[int]*holding{},
		maxChunk: MaxChunk,
		chunks:   newChunks(options.Client, options.Namespace, options.Clock),
		couriers: map[types.NamespacedName]*service{},

		milestones: map[types.UID]milestone{},
	}
	d.objects = objects.New(options.REST, options.Clock, options.Silence)
	return d
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
	}
	c.judge = d.newJudge(c)
	if before := trail.Status.Delivery; before != nil {
		c.inherited = before.Pending - before.Packed
	}
	c.trail.Store(trail)
	c.scribe = d.newScribe(c, trail)
	return c, nil
}

// newJudge judges the events of a courier's trail.
func (d *Delivery) newJudge(c *courier) *outcome.Judge {
	return outcome.New(outcome.Options{
		Objects:  d.objects,
		Digester: d.Digester,
		Clock:    d.Clock,
		Settle:   d.Settle,
		DeletesAreRecorded: func(ref *v1alpha1.ResourceReference) bool {
			return d.DeletesAreRecorded(c.key, ref)
		},
		NothingMissed: func(ref *v1alpha1.ResourceReference, since time.Time) bool {
			return !c.refusedSince(since) && (d.NothingMissed == nil || d.NothingMissed(c.key, ref, since))
		},
		Unrecorded: func(ref *v1alpha1.ResourceReference, moment time.Time) time.Time {
			if d.Unrecorded == nil {
				return time.Time{}
			}
			return d.Unrecorded(c.key, ref, moment)
		},
		StalledUntil: d.StalledUntil,
		StallsKnown:  d.StallsKnown,
		MayBeKept:    d.OtherWebhooks.Longest,
		SlowWebhooks: &d.slowWebhooks,
		Forgotten:    func() time.Time { return c.past.Forgotten },
	})
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
	if _, err := list.open(ctx, at.version, at.version); err != nil {
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
