package delivery

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// warmUp is how long after it answers again an API server may not know all roles.
	warmUp = 15 * time.Second
	// patientTries is how often something is asked that is forbidden then, a second apart. A kind that nobody may read costs that once
	// a minute.
	patientTries = 4
)

// patient asks again for what is forbidden while the API server may have just started: it gets to know one role after the other, and what
// is taken for forbidden is not asked for a while.
type patient struct {
	reader
	// started says that the API server may have just started.
	started func() bool
}

func (p *patient) read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (seen sight, err error) {
	err = p.ask(ctx, func() error {
		seen, err = p.reader.read(ctx, ref, whole, consistent)
		return err
	})
	return seen, err
}

func (p *patient) at(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (seen sight, shown uint64, err error) {
	err = p.ask(ctx, func() error {
		seen, shown, err = p.reader.at(ctx, ref, revision)
		return err
	})
	return seen, shown, err
}

func (p *patient) shareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error {
	return p.ask(ctx, func() error { return p.reader.shareRevisions(ctx, ref) })
}

func (p *patient) appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (seen map[string]bool, err error) {
	err = p.ask(ctx, func() error {
		seen, err = p.reader.appeared(ctx, refs, since)
		return err
	})
	return seen, err
}

func (p *patient) ask(ctx context.Context, question func() error) error {
	for try := 1; ; try++ {
		err := question()
		if !apierrors.IsForbidden(err) || try == patientTries || ctx.Err() != nil || !p.started() {
			return err
		}
		sleep(ctx, time.Second)
	}
}

// hasJustStarted says that the API server may not know all roles yet.
func (d *Delivery) hasJustStarted() bool {
	lasted, ago := d.Silence()
	return lasted > 0 && ago < warmUp
}
