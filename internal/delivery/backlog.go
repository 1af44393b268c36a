package delivery

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/outcome"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// typicalEvent is about what an event takes in memory, in bytes.
const typicalEvent = 2 << 10

// backlog reads what a trail has past its cursor, in the order in which it was recorded. Lists come in the order of
// names, which is nearly but not quite that order, so it first notes the versions of all events and then reads their
// bodies, of which it holds a bounded number.
type backlog struct {
	source *source
	trail  types.NamespacedName
	uid    types.UID
	places []string
	// limit bounds the bodies in memory, and copyLimit the compressed copy of those that do not fit, in bytes.
	limit, copyLimit int
	// packed says whether an event is in a chunk.
	packed func(ctx context.Context, version uint64) (bool, error)
	// opened is when the backlog was begun: everything in it had been stored soon after.
	opened time.Time

	// upTo is the resourceVersion up to which the backlog is complete.
	upTo  uint64
	order index
	// before are the last events at or below the cursor.
	before outcome.Past
	// leftover are AuditEvents that are in chunks already, because whoever packed them did not come to delete them: those of one chunk,
	// MaxChunkEvents at most, unless several replicas ended like that before any packed again.
	leftover []single
	// existed has, for each object, the last event that shows it as it was before: what proves its creation may come
	// long after it.
	existed map[types.UID]uint64
	// bodies are those events of order that are in memory, by their versions, and aside the names of those that were read and did
	// not fit.
	bodies map[uint64]recorded.Event
	aside  map[uint64]types.NamespacedName
	bytes  int
	// Noted are events that got a new version while the backlog was read, because somebody explained them, by the digests of their
	// names.
	noted map[uint32]types.NamespacedName
	// suspects are events that may seem to be past the cursor only because somebody explained them, and where they are in order.
	suspects map[types.UID]uint64
	// vanished is how many of its events were deleted before they were taken.
	vanished int
	// rest has the bodies that did not fit into memory; nil while nothing is missing.
	rest *copied
}

// open lists the trail once. What is past the cursor and not past packed is in chunks. A cursor that is ahead of the API server means
// that etcd was restored from a backup: then restored is true, and the backlog has everything, since what was pushed and what was not
// cannot be told apart.
func (b *backlog) open(ctx context.Context, cursor, packed uint64) (restored bool, err error) {
	if err := b.list(ctx, cursor, packed); err != nil || b.upTo >= packed {
		return false, err
	}
	log.FromContext(ctx).Info("Delivering all events again, because the API server's history ends before the cursor: etcd was restored")
	return true, b.list(ctx, 0, 0)
}

func (b *backlog) list(ctx context.Context, cursor, packed uint64) error {
	b.leftover = nil
	b.order, b.bodies, b.aside, b.bytes, b.before = newIndex(), map[uint64]recorded.Event{}, map[uint64]types.NamespacedName{}, 0, outcome.Past{}
	b.existed, b.noted, b.suspects = map[types.UID]uint64{}, map[uint32]types.NamespacedName{}, map[types.UID]uint64{}
	list := b.pager(indexPage)
	// Half of the memory may be taken by what is to come later when the next block is unpacked.
	b.rest = &copied{limit: b.copyLimit, unpacked: min(copyBlock, b.limit/2), shown: *list.clone()}
	for {
		b.rest.begin(list)
		err := list.page(ctx, func(wire *recorded.Wire) { b.note(ctx, wire, cursor, packed) })
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	b.upTo = list.version
	b.order.seal(b.upTo)
	b.forgetAbove(b.upTo)
	// What a page has beyond what fits into memory would have to be read one by one later.
	b.rest.end(min(bodyPage, max(b.limit/max(typicalEvent, b.meanSize()), 1)))
	if len(b.bodies) >= b.order.count {
		b.rest = nil
	}
	return nil
}

// forgetAbove drops bodies that are left to the feed.
func (b *backlog) forgetAbove(version uint64) {
	for at, event := range b.bodies {
		if at > version {
			delete(b.bodies, at)
			b.bytes -= event.Size()
		}
	}
}

// note gives an event that is past what is packed its place. Most of them are looked at no further, because their bodies are read again,
// from their copy.
func (b *backlog) note(ctx context.Context, wire *recorded.Wire, cursor, packed uint64) {
	version, err := wire.RecordedAt()
	var from recorded.Origin
	if err == nil {
		from, err = wire.Origin()
	}
	switch {
	case err != nil:
		log.FromContext(ctx).Error(err, "Skipping an AuditEvent that cannot be read")
		return
	case from.Trail != b.uid: // A trail of the same name may have had another uid.
		return
	}
	b.leaveOutExplained(from, packed)
	switch {
	case version > packed && b.full():
		b.enter(wire, version, from)
		b.rest.add(wire)
		return
	case version > cursor && version <= packed:
		// What somebody has explained since may have been there at the cursor.
		if !wire.Moved() {
			b.leftover = append(b.leftover, single{wire.Key(), wire.UID})
		}
		return
	}
	event, ok := b.mine(ctx, wire)
	switch {
	case !ok:
	case version > packed:
		b.enter(wire, version, from)
		if !b.keep(&event) {
			b.rest.add(wire)
		}
	default:
		b.before.AddDelivered(event, maxLag) // Nobody knows how late events came.
	}
}

// enter notes where an event is in the order, and what it tells of its object.
func (b *backlog) enter(wire *recorded.Wire, version uint64, from recorded.Origin) {
	b.order.add(wire.Key(), version)
	if wire.Moved() {
		b.suspects[wire.UID] = version
	}
	if from.Object != "" && from.Version != "" {
		uid := types.UID(from.Object)
		b.existed[uid] = max(b.existed[uid], version)
	}
}

// leaveOutExplained takes an event out again that an event of its explanation, which is behind it in the list, shows to have been
// there at the cursor: it was delivered.
func (b *backlog) leaveOutExplained(from recorded.Origin, cursor uint64) {
	version, ok := b.suspects[types.UID(from.Object)]
	if !ok {
		return
	}
	if before, err := apijson.ParseVersion(from.Version); err != nil || before > cursor {
		return
	}
	delete(b.suspects, types.UID(from.Object))
	b.order.remove(version)
	if event, held := b.bodies[version]; held {
		delete(b.bodies, version)
		b.bytes -= event.Size()
	}
}

// pager begins a list of the trail.
func (b *backlog) pager(size int) *pager {
	return &pager{source: b.source, trail: b.trail.Name, namespaces: slices.Clone(b.places), size: size}
}

// mine decodes an event of this trail; a trail of the same name may have had another uid.
func (b *backlog) mine(ctx context.Context, wire *recorded.Wire) (recorded.Event, bool) {
	event, err := wire.Event()
	if err != nil {
		log.FromContext(ctx).Error(err, "Skipping an AuditEvent that cannot be read")
		return recorded.Event{}, false
	}
	return event, event.Trail == b.uid
}

// keep holds an event's body in memory if it fits.
func (b *backlog) keep(event *recorded.Event) bool {
	if b.bytes+event.Size() > b.limit && len(b.bodies) > 0 {
		return false
	}
	b.bodies[event.ResourceVersion] = *event
	b.bytes += event.Size()
	return true
}

// meanSize is that of the bodies that are held, in bytes.
func (b *backlog) meanSize() int { return b.bytes / max(len(b.bodies), 1) }

// full says that no body is kept any more.
func (b *backlog) full() bool { return b.bytes+typicalEvent > b.limit && len(b.bodies) > 0 }

// take returns the next events, up to count and about as many as fit into memory; none at the end.
func (b *backlog) take(ctx context.Context, count int) ([]recorded.Event, error) {
	var events []recorded.Event
	bytes := 0
	for len(events) < count && bytes < b.limit {
		next, ok := b.order.first()
		if !ok {
			break
		}
		event, err := b.body(ctx, next)
		if err != nil {
			return events, err
		}
		if event == nil && b.packed != nil {
			if packed, err := b.packed(ctx, next.version); err != nil || packed {
				return events, errors.Join(err, errPacked)
			}
		}
		b.order.drop()
		if event == nil {
			b.vanished++
			continue
		}
		event.Seen = b.opened
		event.Followed = b.existed[types.UID(event.Head.Resource.UID)] > event.ResourceVersion
		events = append(events, *event)
		bytes += event.Size()
	}
	return events, nil
}

// errPacked says that another replica packed an event that was to be delivered.
var errPacked = errors.New("what waits was packed meanwhile")
