package delivery

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// typicalEvent is about what an event takes in memory, in bytes.
const typicalEvent = 2 << 10

// backlog reads what a trail has past its cursor, in the order in which it was recorded. Lists come in the order of
// names, which is nearly but not quite that order, so it first notes the order of all events and then reads their
// bodies, of which it holds a bounded number.
type backlog struct {
	source *source
	trail  types.NamespacedName
	uid    types.UID
	places []string
	limit  int
	// packed says whether an event is in a chunk.
	packed func(ctx context.Context, version uint64) (bool, error)
	// opened is when the backlog was begun: everything in it had been stored soon after.
	opened time.Time

	// upTo is the resourceVersion up to which the backlog is complete.
	upTo  uint64
	order []entry
	// before are the last events at or below the cursor.
	before past
	// existed has, for each object, the last event that shows it as it was before: what proves its creation may come
	// long after it.
	existed map[types.UID]uint64
	// bodies are those events of order that are in memory.
	bodies map[types.NamespacedName]Event
	bytes  int
	// vanished is how many of its events were deleted before they were taken.
	vanished int
	// rest lists the bodies that did not fit into memory; nil while nothing is missing.
	rest *pager
}

// entry is an event's place in the order.
type entry struct {
	version uint64
	name    types.NamespacedName
}

// open lists the trail once. A cursor that is ahead of the API server means that etcd was restored from a backup:
// then restored is true, and the backlog has everything, since what was pushed and what was not cannot be told apart.
func (b *backlog) open(ctx context.Context, cursor uint64) (restored bool, err error) {
	if err := b.list(ctx, cursor); err != nil || b.upTo >= cursor {
		return false, err
	}
	log.FromContext(ctx).Info("Delivering all events again, because the API server's history ends before the cursor: etcd was restored")
	return true, b.list(ctx, 0)
}

func (b *backlog) list(ctx context.Context, cursor uint64) error {
	b.order, b.bodies, b.bytes, b.before = nil, map[types.NamespacedName]Event{}, 0, past{}
	b.existed = map[types.UID]uint64{}
	list := b.pager(indexPage)
	for {
		err := list.page(ctx, func(wire *wireEvent) { b.note(ctx, wire, cursor) })
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	b.upTo = list.version
	b.order = slices.DeleteFunc(b.order, func(e entry) bool { return e.version > b.upTo })
	slices.SortFunc(b.order, func(x, y entry) int { return cmp.Compare(x.version, y.version) })
	if len(b.bodies) < len(b.order) {
		// What a page has beyond what fits into memory would have to be read one by one later.
		b.rest = b.pager(min(bodyPage, max(b.limit/typicalEvent, 1)))
	}
	return nil
}

// note gives an event past the cursor its place.
func (b *backlog) note(ctx context.Context, wire *wireEvent, cursor uint64) {
	event, ok := b.mine(ctx, wire)
	switch {
	case !ok:
		return
	case event.ResourceVersion <= cursor:
		b.before.addDelivered(event)
		return
	}
	b.order = append(b.order, entry{event.ResourceVersion, event.NamespacedName})
	if object := &event.Head.Resource; object.UID != "" && object.ResourceVersion != "" {
		uid := types.UID(object.UID)
		b.existed[uid] = max(b.existed[uid], event.ResourceVersion)
	}
	b.keep(&event)
}

// pager begins a list of the trail.
func (b *backlog) pager(size int) *pager {
	return &pager{source: b.source, trail: b.trail.Name, namespaces: slices.Clone(b.places), size: size}
}

// mine decodes an event of this trail; a trail of the same name may have had another uid.
func (b *backlog) mine(ctx context.Context, wire *wireEvent) (Event, bool) {
	event, err := wire.event()
	if err != nil {
		log.FromContext(ctx).Error(err, "Skipping an AuditEvent that cannot be read")
		return Event{}, false
	}
	return event, event.Trail == b.uid
}

// keep holds an event's body in memory if it fits.
func (b *backlog) keep(event *Event) {
	if b.bytes+event.size() > b.limit && len(b.bodies) > 0 {
		return
	}
	b.bodies[event.NamespacedName] = *event
	b.bytes += event.size()
}

// take returns the next events, up to count and about as many as fit into memory; none at the end.
func (b *backlog) take(ctx context.Context, count int) ([]Event, error) {
	var events []Event
	bytes := 0
	for len(events) < count && bytes < b.limit && len(b.order) > 0 {
		event, err := b.body(ctx, b.order[0])
		if err != nil {
			return events, err
		}
		if event == nil && b.packed != nil {
			if packed, err := b.packed(ctx, b.order[0].version); err != nil || packed {
				return events, errors.Join(err, errPacked)
			}
		}
		b.order = b.order[1:]
		if event == nil {
			b.vanished++
			continue
		}
		event.Seen = b.opened
		event.Followed = b.existed[types.UID(event.Head.Resource.UID)] > event.ResourceVersion
		events = append(events, *event)
		bytes += event.size()
	}
	return events, nil
}

// errPacked says that another replica packed an event that was to be delivered.
var errPacked = errors.New("what waits was packed meanwhile")

// upToVersion lists the trail's AuditEvents that were recorded after one resourceVersion and not after another.
func (b *backlog) upToVersion(ctx context.Context, after, upTo uint64) ([]single, error) {
	var found []single
	for list := b.pager(indexPage); ; {
		err := list.page(ctx, func(wire *wireEvent) {
			if event, ok := b.mine(ctx, wire); ok && event.ResourceVersion > after && event.ResourceVersion <= upTo {
				found = append(found, single{event.NamespacedName, event.UID})
			}
		})
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// body finds the event in memory, in the rest of the list, or by itself; nil when somebody deleted it.
func (b *backlog) body(ctx context.Context, wanted entry) (*Event, error) {
	for {
		if event, ok := b.bodies[wanted.name]; ok {
			delete(b.bodies, wanted.name)
			b.bytes -= event.size()
			return &event, nil
		}
		if b.rest == nil || b.rest.passed(wanted.name) {
			return b.source.get(ctx, wanted.name)
		}
		if err := b.readOn(ctx, wanted.version); err != nil {
			return nil, err
		}
	}
}

// readOn reads one more page, and keeps what is still to come.
func (b *backlog) readOn(ctx context.Context, from uint64) error {
	err := b.rest.page(ctx, func(wire *wireEvent) {
		version, err := wire.recordedAt()
		if err != nil || version < from || version > b.upTo {
			return
		}
		if _, held := b.bodies[wire.key()]; held || b.bytes >= b.limit {
			return
		}
		if event, ok := b.mine(ctx, wire); ok {
			b.keep(&event)
		}
	})
	if errors.Is(err, io.EOF) {
		b.rest = nil
		return nil
	}
	return err
}
