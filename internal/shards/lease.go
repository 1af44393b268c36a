package shards

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// errTaken says that another replica holds the Lease.
var errTaken = errors.New("another replica has taken it")

// lease is a shard's Lease as this replica sees it. It is the part of leader election that is about one Lease; which ones
// to want is not known to client-go's elector, which takes whatever is free.
type lease struct {
	lock     resourcelock.Interface
	clock    clock.PassiveClock
	duration time.Duration

	// record is what the Lease said last; nil when there is none.
	record *resourcelock.LeaderElectionRecord
	raw    []byte
	// changed is when it was last seen to say something else, by this replica's own clock: clocks are not compared.
	changed time.Time
	// renewed is when this replica last began a renewal that succeeded.
	renewed time.Time
	// idle is since when nobody holds it; zero while somebody does.
	idle time.Time
}

// look reads the Lease.
func (l *lease) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.duration/3)
	defer cancel()
	record, raw, err := l.lock.Get(ctx)
	switch {
	case apierrors.IsNotFound(err):
		record, raw = nil, nil
	case err != nil:
		return fmt.Errorf("reading Lease %s: %w", l.lock.Describe(), err)
	}
	if l.changed.IsZero() || !bytes.Equal(raw, l.raw) {
		l.changed = l.clock.Now()
	}
	l.record, l.raw = record, raw
	switch {
	case !l.free():
		l.idle = time.Time{}
	case l.idle.IsZero():
		l.idle = l.clock.Now()
	}
	return nil
}

// free says that the Lease may be taken: nobody holds it, its holder fell silent, or this replica wrote it without having
// seen the answer.
func (l *lease) free() bool {
	return l.record == nil || l.record.HolderIdentity == "" || l.record.HolderIdentity == l.lock.Identity() ||
		l.clock.Since(l.changed) >= time.Duration(l.record.LeaseDurationSeconds)*time.Second
}

// freeFor is for how long nobody has held it.
func (l *lease) freeFor() time.Duration {
	if l.idle.IsZero() {
		return 0
	}
	return l.clock.Since(l.idle)
}

// take makes this replica the holder of the Lease as it was when it was looked at.
func (l *lease) take(ctx context.Context) error {
	now := l.clock.Now()
	next := l.sign(now)
	next.AcquireTime = metav1.NewTime(now)
	var err error
	if l.record == nil {
		err = l.call(ctx, func(ctx context.Context) error { return l.lock.Create(ctx, next) })
	} else {
		next.LeaderTransitions = l.record.LeaderTransitions + 1
		err = l.call(ctx, func(ctx context.Context) error { return l.lock.Update(ctx, next) })
	}
	if err != nil {
		return fmt.Errorf("taking Lease %s: %w", l.lock.Describe(), err)
	}
	l.record, l.renewed, l.idle = &next, now, time.Time{}
	return nil
}

// renew tells that the holder is alive. It fails when another replica took the Lease, or would soon be right to.
func (l *lease) renew(ctx context.Context) error {
	now := l.clock.Now()
	next := l.sign(now)
	next.AcquireTime, next.LeaderTransitions = l.record.AcquireTime, l.record.LeaderTransitions
	update := func(ctx context.Context) error { return l.lock.Update(ctx, next) }
	err := l.call(ctx, update)
	if apierrors.IsConflict(err) {
		// It may have been this replica's own renewal that was stored and not answered.
		err = l.look(ctx)
		if err == nil && (l.record == nil || l.record.HolderIdentity != l.lock.Identity()) {
			return errTaken
		}
		if err == nil {
			err = l.call(ctx, update)
		}
	}
	if err == nil {
		l.record, l.renewed = &next, now
		return nil
	}
	if late := l.clock.Since(l.renewed); late >= 2*l.duration/3 {
		return fmt.Errorf("not renewed for %s: %w", late.Round(time.Second), err)
	}
	log.FromContext(ctx).Error(err, "Cannot renew a Lease, and will try again", "lease", l.lock.Describe())
	return nil
}

// release lets others take the Lease at once. When that fails they take it when it expires.
func (l *lease) release(ctx context.Context) {
	next := l.sign(l.clock.Now())
	next.HolderIdentity = ""
	next.LeaderTransitions = l.record.LeaderTransitions
	err := l.call(ctx, func(ctx context.Context) error { return l.lock.Update(ctx, next) })
	if err != nil && !isLostRace(err) {
		log.FromContext(ctx).Error(err, "Cannot give a Lease back; it expires", "lease", l.lock.Describe())
	}
}

// sign is what this replica writes.
func (l *lease) sign(now time.Time) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{
		HolderIdentity:       l.lock.Identity(),
		LeaseDurationSeconds: int(l.duration.Seconds()),
		RenewTime:            metav1.NewTime(now),
	}
}

func (l *lease) call(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.duration/3)
	defer cancel()
	return request(ctx)
}

// isLostRace says that another replica was quicker.
func isLostRace(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}
