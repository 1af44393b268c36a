package objects

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

const (
	// warmUp is how long after it answers again an API server may not know all roles.
	warmUp = 15 * time.Second
	// patientTries is how often something is asked that is forbidden then, a second apart. A kind that nobody may read costs that once
	// a minute.
	patientTries = 4
	// secondThought is when something forbidden is asked again of an API server that seems to have been there all the time.
	secondThought = 100 * time.Millisecond
)

// ErrNotReady says that the API server does not know yet who may do what.
var ErrNotReady = errors.New("the API server does not even let the operator read its own events")

// patient asks again for what is forbidden while the API server may have just started: it gets to know one role after the other, and what
// is taken for forbidden is not asked for a while. It fails with errNotReady when that takes long.
type patient struct {
	Reader
	// ready fails when the API server does not even let the operator read its own events.
	ready func(ctx context.Context) error
	// silence is as New has it.
	silence func() (lasted, ago time.Duration)
}

// started says that the API server may have just started, and not know all roles.
func (p *patient) started() bool {
	lasted, ago := p.silence()
	return lasted > 0 && ago < warmUp
}

func (p *patient) Read(ctx context.Context, ref *v1alpha1.ResourceReference, whole, consistent bool) (seen Sight, err error) {
	err = p.ask(ctx, func() error {
		seen, err = p.Reader.Read(ctx, ref, whole, consistent)
		return err
	})
	return seen, err
}

func (p *patient) At(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (seen Sight, shown uint64, err error) {
	err = p.ask(ctx, func() error {
		seen, shown, err = p.Reader.At(ctx, ref, revision)
		return err
	})
	return seen, shown, err
}

func (p *patient) ShareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error {
	return p.ask(ctx, func() error { return p.Reader.ShareRevisions(ctx, ref) })
}

func (p *patient) Appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (seen map[string]bool, err error) {
	err = p.ask(ctx, func() error {
		seen, err = p.Reader.Appeared(ctx, refs, since)
		return err
	})
	return seen, err
}

func (p *patient) ask(ctx context.Context, question func() error) error {
	for try := 1; ; try++ {
		err := question()
		if !apierrors.IsForbidden(err) || ctx.Err() != nil {
			return err
		}
		notReady := p.ready(ctx)
		starting := notReady != nil || p.started()
		switch {
		case notReady != nil && try == patientTries:
			return ErrNotReady // What is forbidden now does not tell.
		case try == patientTries, try > 1 && !starting:
			return err
		case starting:
			pause.For(ctx, time.Second)
		default:
			pause.For(ctx, secondThought)
		}
	}
}

// IsAway says that the API server did not answer, or does not know yet who may do what: it will tell later. That something takes too long
// is none of these, since it would take as long again.
func IsAway(err error) bool {
	var failed *url.Error
	return errors.Is(err, ErrNotReady) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &failed) && !failed.Timeout()
}

// OnlyAway drops an error that will not go away: then what is known decides.
func OnlyAway(err error) error {
	if IsAway(err) {
		return err
	}
	return nil
}
