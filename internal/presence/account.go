package presence

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// watchFor is how long a replica watches whether another is alive. It compares what it saw, not clocks.
const watchFor = 3 * renewEvery

// errClaimed says that another replica is about to tell a window.
var errClaimed = errors.New("another replica is about to tell an earlier window")

// account finds out who is alive, and tells the windows before this replica's start that nobody told yet.
func (p *Presence) account(ctx context.Context) {
	retry := wait.Backoff{Duration: renewEvery, Factor: 2, Jitter: 0.2, Steps: 5, Cap: time.Minute}
	for ctx.Err() == nil {
		err := p.accountOnce(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !apierrors.IsConflict(err) {
			log.FromContext(ctx).Error(err, "Cannot account for the time before the start, and will try again")
		}
		p.sleep(ctx, retry.Step())
	}
}

func (p *Presence) accountOnce(ctx context.Context) error {
	before, _, err := p.read(ctx)
	if err != nil {
		return err
	}
	p.sleep(ctx, watchFor)
	p.serve()
	for ctx.Err() == nil {
		now, version, err := p.read(ctx)
		if err != nil {
			return err
		}
		living := p.living(before, now)
		delete(now.entries, p.id) // It may still say that this replica was ready earlier.
		past := now.past(p.began(), living)
		own, err := p.claim(ctx, now, past.Gaps, living, version)
		switch {
		case apierrors.IsConflict(err):
			// Somebody else's sign of life, or claim, came in between.
			continue
		case err != nil:
			return err
		}
		p.know(past)
		return p.tell(ctx, own)
	}
	return ctx.Err()
}

// know keeps what the Lease said of the time before this replica's start, once: what has been accounted for is forgotten.
func (p *Presence) know(past Past) {
	select {
	case <-p.accounted:
	default:
		p.past = past
		close(p.accounted)
	}
}

// living are the ids of the replicas that gave a sign of life while this one watched.
func (p *Presence) living(before, now state) map[string]bool {
	living := map[string]bool{p.id: true}
	for id, e := range now.entries {
		earlier, known := before.entries[id]
		if !e.Stopped && (!known || e.Seen.After(earlier.Seen)) {
			living[id] = true
		}
	}
	return living
}

// serve corrects since to the first call, where that came while this replica watched the others: the API server finds a
// ready replica some time later. Without a call there was nothing to record, as far as this replica can know.
func (p *Presence) serve() {
	first, ok := p.options.FirstCall()
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok && !p.served {
		p.since = later(p.since, first)
	}
	p.served = true
}

// claim accounts for the time up to this replica's start, and returns the windows that it has to tell. The
// resourceVersion lets only one of the replicas that start together have them. gaps are all that there were, with these.
func (p *Presence) claim(ctx context.Context, now state, gaps []Window, living map[string]bool, version string) (claim, error) {
	since := p.began()
	own := claim{By: p.id, Windows: now.uncovered(since, living)}
	if now.claim != nil {
		if now.claim.By != p.id && living[now.claim.By] {
			return claim{By: p.id}, p.wait(own)
		}
		// Whoever was about to tell these did not live to do it, or failed.
		own.Windows = append(now.claim.Windows, own.Windows...)
	}
	accounted := later(now.accounted, since)
	changes := map[string]*string{accountedKey: ptr.To(accounted.UTC().Format(time.RFC3339Nano))}
	for _, id := range now.forgettable(accounted, living) {
		changes[entryPrefix+id] = nil
	}
	if len(gaps) > 0 {
		changes[gapsKey] = encode(gaps)
	}
	if len(own.Windows) > 0 {
		changes[claimKey] = encode(own)
	}
	return own, p.patch(ctx, changes, version)
}

// wait fails when there is something to tell while another replica is about to tell something else.
func (p *Presence) wait(own claim) error {
	if len(own.Windows) > 0 {
		return errClaimed
	}
	return nil
}

func (p *Presence) tell(ctx context.Context, own claim) error {
	if len(own.Windows) == 0 {
		return nil
	}
	for _, window := range own.Windows {
		if err := p.options.Tell(ctx, window); err != nil {
			return err
		}
	}
	return p.patch(ctx, map[string]*string{claimKey: nil}, "")
}

// read is the Lease as it is now.
func (p *Presence) read(ctx context.Context) (state, string, error) {
	meta, err := p.options.Board.Patch(ctx, map[string]*string{}, "")
	if err != nil {
		return state{}, "", err
	}
	return parse(meta.Annotations), meta.ResourceVersion, nil
}

func (p *Presence) patch(ctx context.Context, annotations map[string]*string, resourceVersion string) error {
	_, err := p.options.Board.Patch(ctx, annotations, resourceVersion)
	return err
}
