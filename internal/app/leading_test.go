package app

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

var errLed = errors.New("as leaders end")

// untilEnd leads until its context ends.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return errLed
}

func TestALostLeaseEndsLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		served := newTerm(t.Context())
		held, lose := context.WithCancel(t.Context())
		go served.serve(t.Context(), held, untilEnd)
		synctest.Wait()
		g.Expect(served.context.Err()).NotTo(HaveOccurred())
		lose()
		g.Expect(served.end()).To(MatchError(errLed), "what leading started has ended")
	})
}

func TestTheLeaseIsGivenBackAfterLeading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		ctx, stop := context.WithCancel(t.Context())
		served := newTerm(ctx)
		finish := make(chan struct{})
		go served.serve(ctx, t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			<-finish
			return nil
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		g.Expect(served.context.Err()).NotTo(HaveOccurred(), "others must not lead yet")
		close(finish)
		synctest.Wait()
		g.Expect(served.context.Err()).To(HaveOccurred())
		g.Expect(served.end()).To(Succeed())
	})
}

func TestWhoDoesNotLeadGivesUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		ctx, stop := context.WithCancel(t.Context())
		waiting := newTerm(ctx)
		stop()
		synctest.Wait()
		g.Expect(waiting.context.Err()).To(HaveOccurred())
		g.Expect(waiting.end()).To(Succeed())
		// The election may tell late that it was won.
		waiting.serve(ctx, t.Context(), func(context.Context) error { panic("nobody may lead now") })
	})
}

// TestPartsSayWhereTheyRun: one that runs on the leader only must not slip into every replica.
func TestPartsSayWhereTheyRun(t *testing.T) {
	o := &operator{}
	err := o.add(manager.RunnableFunc(func(context.Context) error { return nil }))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("added to the leader")))
}
