package objects

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// hesitant forbids everything until a moment, as an API server does that has just started, and the operator's own events until ready.
type hesitant struct {
	Reader
	until, readyFrom time.Time
	asked            int
}

func (h *hesitant) ready(context.Context) error {
	if time.Now().Before(h.readyFrom) {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "auditevents"}, "", nil)
	}
	return nil
}

func (h *hesitant) forbidden() error {
	if h.asked++; time.Now().Before(h.until) {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web", nil)
	}
	return nil
}

func (h *hesitant) Read(context.Context, *v1alpha1.ResourceReference, bool, bool) (Sight, error) {
	return with("1"), h.forbidden()
}

func (h *hesitant) At(context.Context, *v1alpha1.ResourceReference, uint64) (Sight, uint64, error) {
	return with("1"), 9, h.forbidden()
}

func (h *hesitant) Appeared(context.Context, []*v1alpha1.ResourceReference, uint64) (map[string]bool, error) {
	return map[string]bool{"u1": true}, h.forbidden()
}

func (h *hesitant) ShareRevisions(context.Context, *v1alpha1.ResourceReference) error {
	return h.forbidden()
}

// TestAnAPIServerThatHasJustStartedIsAskedAgain for what it forbids, each of which would not be asked for a minute otherwise.
func TestAnAPIServerThatHasJustStartedIsAskedAgain(t *testing.T) {
	ref := theObject()
	questions := map[string]func(ctx context.Context, p *patient) error{
		"read": func(ctx context.Context, p *patient) error {
			_, err := p.Read(ctx, ref, true, true)
			return err
		},
		"past": func(ctx context.Context, p *patient) error {
			_, _, err := p.At(ctx, ref, 7)
			return err
		},
		"counter": func(ctx context.Context, p *patient) error { return p.ShareRevisions(ctx, ref) },
		"watch": func(ctx context.Context, p *patient) error {
			_, err := p.Appeared(ctx, []*v1alpha1.ResourceReference{ref}, 7)
			return err
		},
	}
	for name, test := range map[string]struct {
		// lasted and ago are those of the last silence; forbidden is for how long the API server hesitates, and unready for how long with
		// the operator's own events.
		lasted, ago, forbidden, unready time.Duration
		asked                           int
		allowed, away                   bool
	}{
		"it started a moment ago":    {10 * time.Second, time.Second, 2 * time.Second, 0, 3, true, false},
		"it still does not answer":   {10 * time.Second, 0, 2 * time.Second, 0, 3, true, false},
		"it is not allowed":          {10 * time.Second, time.Second, time.Hour, 0, patientTries, false, false},
		"it started a while ago":     {10 * time.Second, time.Minute, 2 * time.Second, 0, 2, false, false},
		"it has been there all time": {0, 0, 2 * time.Second, 0, 2, false, false},
		"nobody noticed its start":   {0, 0, 2 * time.Second, 2 * time.Second, 3, true, false},
		"it has nearly started":      {0, 0, secondThought, 0, 2, true, false},
		"it does not get ready":      {0, 0, time.Hour, time.Hour, patientTries, false, true},
		"nothing is forbidden":       {10 * time.Second, time.Second, 0, 0, 1, true, false},
	} {
		for kind, ask := range questions {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := NewWithT(t)
					silence := func() (lasted, ago time.Duration) { return test.lasted, test.ago }
					objects := &hesitant{until: time.Now().Add(test.forbidden), readyFrom: time.Now().Add(test.unready)}
					err := ask(t.Context(), &patient{objects, objects.ready, silence})
					g.Expect(objects.asked).To(Equal(test.asked))
					g.Expect(err == nil).To(Equal(test.allowed))
					g.Expect(IsAway(err)).To(Equal(test.away))
				})
			})
		}
	}
}
