package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// readyInterval is how often a starting replica looks whether it is ready.
	readyInterval = 100 * time.Millisecond
	// accountWithin is how long a starting replica takes at most to find out who recorded before it, unless the API server is away.
	accountWithin = 20 * time.Second
)

// errStopping is why a replica that was told to stop is not ready.
var errStopping = errors.New("stopping")

// serve runs the manager until a while after the context ended. In that while the replica says that it is not ready and
// answers all the same: it takes some seconds until nobody sends it anything any more.
func (o *operator) serve(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer stop()
		select {
		case <-ctx.Done():
		case <-serving.Done():
			return
		}
		o.stopping.Store(true)
		ctrl.Log.Info("Stopping, answering until nobody asks", "delay", o.options.DrainDelay.String())
		wait(serving, o.options.DrainDelay)
	}()
	err := o.runManager(serving)
	stop()
	<-drained
	if err != nil {
		return err
	}
	o.flush(ctx)
	return nil
}

// notStopping is the readiness check that fails first.
func (o *operator) notStopping(*http.Request) error {
	if o.stopping.Load() {
		return errStopping
	}
	return nil
}

// answer notes since when this replica has answered the API server.
func (o *operator) answer(ctx context.Context) error {
	for ctx.Err() == nil && !o.canAnswer() {
		wait(ctx, readyInterval)
	}
	for ctx.Err() == nil {
		o.attendance.note(o.clock.Now())
		wait(ctx, attendEvery)
	}
	return nil
}

func (o *operator) canAnswer() bool {
	return o.rules.Ready(nil) == nil && o.certs.Ready(nil) == nil && o.mgr.GetWebhookServer().StartedChecker()(nil) == nil
}

// hasAnsweredSince says that this replica, and others before it was ready, were there for all that the API server asked since a moment.
func (o *operator) hasAnsweredSince(moment time.Time) bool {
	if past, known := o.presence.Past(); known {
		o.attendance.extend(past.Covered)
	}
	return o.attendance.coveredSince(moment, o.clock.Now())
}

// accountFor waits until this replica knows who was there since a moment, or for so long that nobody will tell it. It says whether it
// got to know.
func (o *operator) accountFor(ctx context.Context, moment time.Time) bool {
	if _, known := o.presence.Past(); known || o.hasAnsweredSince(moment) {
		return false
	}
	left := accountWithin - o.clock.Since(o.asked())
	if left <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	select {
	case <-o.presence.Accounted():
		return true
	case <-ctx.Done():
		return false
	}
}

// flush writes the events of the last requests: the recorder stops answering after the replayer has ended.
func (o *operator) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := o.replayer.Flush(ctx); err != nil {
		ctrl.Log.Error(err, "The next start writes what is left in the local file")
	}
}

// wait returns after a while, or when the context ends.
func wait(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
