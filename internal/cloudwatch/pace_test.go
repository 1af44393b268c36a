package cloudwatch

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// TestPaceIsSharedFairly: a trail that always has something to send gets no more turns than one that sends as fast as it
// may, and both together no more than the account.
func TestPaceIsSharedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		shared := newPaces()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		turns := make([]int, 4)
		for i := range turns {
			go func() {
				for await(ctx, shared.of("1", "eu-west-1").describeStreams, "logs:DescribeLogStreams") == nil {
					turns[i]++
				}
			}()
		}
		<-ctx.Done()
		synctest.Wait()
		all := 0
		for _, each := range turns {
			g.Expect(each).To(BeNumerically("~", 10*describeStreamsPerSecond/len(turns), 3))
			all += each
		}
		g.Expect(all).To(BeNumerically("<=", 10*describeStreamsPerSecond+describeStreamsPerSecond/10))
	})
}

// TestPacesAreApart: one account's calls hold up no other's, nor its own in another region.
func TestPacesAreApart(t *testing.T) {
	g := NewWithT(t)
	shared := newPaces()
	busy := shared.of("1", "eu-west-1")
	for busy.describeGroups.TryAccept() {
	}
	g.Expect(shared.of("1", "eu-west-1").describeGroups.TryAccept()).To(BeFalse())
	g.Expect(shared.of("1", "eu-central-1").describeGroups.TryAccept()).To(BeTrue())
	g.Expect(shared.of("2", "eu-west-1").describeGroups.TryAccept()).To(BeTrue())
	g.Expect(busy.put.TryAccept()).To(BeTrue())
}

// TestATurnThatComesTooLate is as being throttled by AWS.
func TestATurnThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		busy := newPace()
		for busy.describeGroups.TryAccept() {
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		err := await(ctx, busy.describeGroups, "logs:DescribeLogGroups")
		g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonThrottled))
		g.Expect(ClassOf(err)).To(Equal(ClassThrottled))
	})
}

// TestAnArchiveWaitsForItsTurn: what one question reads of an account must not have AWS refuse the others'.
func TestAnArchiveWaitsForItsTurn(t *testing.T) {
	g := NewWithT(t)
	busy := newPace()
	for busy.filter.TryAccept() {
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	asked := false
	for _, err := range (&Archive{turn: busy.filter}).Lines(ctx, "/audit", "stream", Span{}) { // There is no client to ask.
		asked = true
		g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonThrottled))
	}
	g.Expect(asked).To(BeTrue())
}
