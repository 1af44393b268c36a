package delivery

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// Body finds the event in memory, in the rest of the list, or by itself; nil when somebody deleted it.
func (b *backlog) body(ctx context.Context, wanted position) (*recorded.Event, error) {
	version := wanted.version
	for {
		if event, ok := b.bodies[version]; ok {
			delete(b.bodies, version)
			b.bytes -= event.Size()
			return &event, nil
		}
		if name, ok := b.aside[version]; ok {
			delete(b.aside, version)
			return b.single(ctx, name, version)
		}
		if b.rest == nil || !b.order.follows(version, b.rest.passed) {
			return b.explained(ctx, wanted)
		}
		if err := b.readOn(ctx, version); err != nil {
			return nil, err
		}
	}
}

// single reads an event by itself.
func (b *backlog) single(ctx context.Context, name types.NamespacedName, version uint64) (*recorded.Event, error) {
	event, err := b.source.get(ctx, name)
	if errors.Is(err, recorded.ErrUnreadable) {
		log.FromContext(ctx).Error(err, "Skipping an AuditEvent that cannot be read")
		return nil, nil
	}
	if event != nil {
		event.ResourceVersion = version // A note may have given it another one.
	}
	return event, err
}

// explained looks for an event that is missed among those that got a new version.
func (b *backlog) explained(ctx context.Context, wanted position) (*recorded.Event, error) {
	name, ok := b.noted[wanted.name]
	if !ok {
		return nil, nil
	}
	delete(b.noted, wanted.name)
	return b.single(ctx, name, wanted.version)
}

// readOn reads one more page, and keeps what is still to come.
func (b *backlog) readOn(ctx context.Context, from uint64) error {
	err := b.rest.page(ctx, func(wire *recorded.Wire) { b.readAgain(ctx, wire, from) })
	if errors.Is(err, io.EOF) {
		b.rest = nil
		return nil
	}
	return err
}

// readAgain keeps an event that is to come, or notes where it is.
func (b *backlog) readAgain(ctx context.Context, wire *recorded.Wire, from uint64) {
	version, err := wire.RecordedAt()
	if err != nil || version < from {
		return
	}
	if origin, err := wire.Origin(); err != nil || origin.Trail != b.uid {
		return
	}
	if version > b.upTo {
		if wire.Noted {
			b.noted[b.order.digest(wire.Key())] = wire.Key()
		}
		return
	}
	if _, held := b.bodies[version]; held {
		return
	}
	if b.bytes < b.limit {
		event, ok := b.mine(ctx, wire)
		if !ok || b.keep(&event) {
			return
		}
	}
	b.aside[version] = wire.Key()
}
