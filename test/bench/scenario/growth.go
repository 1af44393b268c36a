package scenario

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// outageSlice is how many events are stored at once during an outage.
	outageSlice = 5000
	// outageSingles is how many may wait to be packed before more are stored: an outage of days is compressed into minutes.
	outageSingles = 3 * delivery.DefaultSingle
	// packingTime bounds how long one slice waits for room.
	packingTime = 10 * time.Minute
)

// grown measures how the manager's memory grows with the backlog that an outage of the destination leaves: in chunks, of which the ones
// measured here are stored as packing leaves them, and which the manager packs itself in one that is shorter.
func grown(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	short, err := rig.drainChunks(ctx, size.Objects, size.Backlog)
	if err != nil {
		return err
	}
	long, err := rig.drainChunks(ctx, size.Objects, size.Grown)
	if err != nil {
		return err
	}
	into.Add("delivery.rss_growth_ratio", float64(long.after.PeakRSS)/float64(short.after.PeakRSS),
		fmt.Sprintf("%d events, of %d", size.Grown, size.Backlog), report.AtMost(1.1))
	outage, err := rig.outage(ctx, grownNamespace, size.Objects, size.Outage)
	if err != nil {
		return err
	}
	into.AddRow(short.row("delivery, of chunks"))
	into.AddRow(long.row("delivery, of chunks"))
	into.AddRow(outage.row("delivery, after an outage"))
	return nil
}

// outage stores events of a trail while its destination takes nothing and the manager packs what waits, and then has them delivered. The
// manager's peak memory is that of all of this. The namespace is its own: each pass of packing lists all that a namespace has, also what
// was delivered long ago.
func (r *Rig) outage(ctx context.Context, namespace string, objects, events int) (*drain, error) {
	trail, err := r.trail(ctx, namespace)
	if err != nil {
		return nil, err
	}
	r.drains++
	backlog, err := r.newNamedBacklog(ctx, fmt.Sprintf("%s-%d", trail.Namespace, r.drains), trail, objects, events)
	if err != nil {
		return nil, err
	}
	if err := r.restartDelivery(ctx); err != nil {
		return nil, err
	}
	began := time.Now()
	restore := r.cloud.Inject(cloudsim.Fault{Group: logGroup, Effect: cloudsim.Unavailable})
	defer restore()
	if err := r.storeInSlices(ctx, backlog); err != nil {
		return nil, err
	}
	r.say("Stored %d events during an outage in %.0f s", events, time.Since(began).Seconds())
	return r.delivery(ctx, trail, events, func() error {
		restore()
		return nil
	})
}

// storeInSlices stores all events, no faster than the manager packs them.
func (r *Rig) storeInSlices(ctx context.Context, b *backlog) error {
	delivered, err := r.countEvents(ctx, b.trail.Namespace) // They stay until retention deletes them.
	if err != nil {
		return err
	}
	for from := 0; from < b.count; from += outageSlice {
		err := load.Each(ctx, creators, min(outageSlice, b.count-from), func(ctx context.Context, i int) error { return b.storeOne(ctx, from+i) })
		if err != nil {
			return err
		}
		err = wait.PollUntilContextTimeout(ctx, poll, packingTime, true, func(ctx context.Context) (bool, error) {
			waiting, err := r.countEvents(ctx, b.trail.Namespace)
			return waiting-delivered <= outageSingles, err
		})
		if err != nil {
			return fmt.Errorf("waiting for the manager to pack events: %w; its log is %s", err, r.manager.LogPath())
		}
	}
	return nil
}
