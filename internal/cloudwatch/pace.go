package cloudwatch

import (
	"context"
	"sync"

	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/lru"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// Calls a second that AWS allows one account in one region (CloudWatch Logs quotas).
const (
	putsPerSecond            = 5000
	createStreamsPerSecond   = 50
	describeStreamsPerSecond = 25
	describeGroupsPerSecond  = 10
	// filtersPerSecond is what every region allows (AWS Knowledge Center on throttled CloudWatch Logs); some allow more.
	filtersPerSecond = 5
	// maxPaces bounds the accounts and regions that are remembered.
	maxPaces = 1024
)

// pace holds the calls of one account in one region below what AWS allows. Who waits is served in the order of arrival,
// and a trail waits for one call at a time: so all trails of an account have equal parts of its rate, however much one of
// them has to send.
type pace struct {
	put, createStream, describeStreams, describeGroups, filter flowcontrol.RateLimiter
}

func newPace() *pace {
	limit := func(perSecond int) flowcontrol.RateLimiter {
		// A tenth of a second's calls may come at once.
		return flowcontrol.NewTokenBucketRateLimiter(float32(perSecond), max(1, perSecond/10))
	}
	return &pace{
		put:             limit(putsPerSecond),
		createStream:    limit(createStreamsPerSecond),
		describeStreams: limit(describeStreamsPerSecond),
		describeGroups:  limit(describeGroupsPerSecond),
		filter:          limit(filtersPerSecond),
	}
}

// await waits for a call's turn. It fails when the turn would come after the context's deadline.
func await(ctx context.Context, turn flowcontrol.RateLimiter, operation string) error {
	if err := turn.Wait(ctx); err != nil {
		return fault.Wait(v1alpha1.ReasonThrottled, 0, fault.Text(
			"Too many calls for the account's quota wait for their turn ("+operation+")", err))
	}
	return nil
}

// paces are those of all accounts and regions. It is safe for concurrent use.
type paces struct {
	mu    sync.Mutex
	known *lru.Cache // account and region → *pace
}

func newPaces() *paces { return &paces{known: lru.New(maxPaces)} }

// of is the pace of an account in a region. Trails whose account is not known share one.
func (p *paces) of(account, region string) *pace {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := account + "/" + region
	if kept, ok := p.known.Get(key); ok {
		if pace, ok := kept.(*pace); ok {
			return pace
		}
	}
	made := newPace()
	p.known.Add(key, made)
	return made
}
