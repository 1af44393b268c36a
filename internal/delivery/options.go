package delivery

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
)

// Options are what Delivery needs.
type Options struct {
	// Namespace is the operator's own, where events of namespaces that are being deleted are kept.
	Namespace string
	// REST reads AuditEvents and the objects that they speak of. It must not limit its own rate.
	REST rest.Interface
	// Watches is for the watch of AuditEvents. Default REST.
	Watches rest.Interface
	// Reader reads trails from the API server itself, not from a cache.
	Reader client.Reader
	// Client writes status.
	Client client.Client
	// Open returns a trail's destination as its spec says now.
	Open func(ctx context.Context, trail *v1alpha1.AuditTrail) (Sink, error)
	// Forget drops what is cached of a trail's identity.
	Forget func(trail *v1alpha1.AuditTrail)
	// Metrics counts what is delivered.
	Metrics *metrics.Delivery
	// Digester compares evidence; its key is the recorders'.
	Digester audit.Digester
	// DeletesAreRecorded says whether a trail's rules ask for every deletion of such objects.
	DeletesAreRecorded func(trail types.NamespacedName, ref *v1alpha1.ResourceReference) bool
	// NothingMissed says whether all that a trail asks for was recorded since a moment. Default it was.
	NothingMissed func(trail types.NamespacedName, ref *v1alpha1.ResourceReference, since time.Time) bool
	// Unrecorded says since when changes may have gone unrecorded that a trail asks for, at a moment or later; zero when none did.
	// Default none did.
	Unrecorded func(trail types.NamespacedName, ref *v1alpha1.ResourceReference, moment time.Time) time.Time
	// AccountFor waits until it is known what was missed since a moment, or for some seconds, and says whether it became known. Default
	// it is known already.
	AccountFor func(ctx context.Context, since time.Time) bool
	// Waiting is for how long events have been waiting in local files. Default none.
	Waiting func() time.Duration
	// Silence is for how long the API server stored nothing that this replica asked it to, the last time that this was so, and how long
	// ago that was; 0 while it is so. Default it never was.
	Silence func() (lasted, ago time.Duration)
	// StalledUntil is until when a change of a moment may have waited, because the API server stored nothing; zero when it did not. Default
	// it never did.
	StalledUntil func(moment time.Time) time.Time
	// StallsKnown says whether StalledUntil knows of a moment. Default it knows of all.
	StallsKnown func(moment time.Time) bool
	// OtherWebhooks are those that the API server asks beside the recorder. Default there are none.
	OtherWebhooks otherWebhooks
	// Ledger keeps the ledgers of trails; nil keeps none.
	Ledger *Ledger
	// Announce records a gap in a trail itself. Default nobody is told.
	Announce func(ctx context.Context, gap Gap) error
	// Clock is the time. Default the real one.
	Clock clock.Clock

	// Limits bound what waits while destinations take nothing.
	Limits Limits
	// Settle is how long after its recording an event may be judged. Default 2 s.
	Settle time.Duration
	// Linger is how long events are collected for one call. Default 1 s.
	Linger time.Duration
	// CommitEvery is the shortest time between two writes of a trail's cursor. Default 5 s.
	CommitEvery time.Duration
	// Shards is into how many shards all replicas divide the trails. Default 1.
	Shards int
}

func (o Options) withDefaults() Options {
	if o.Watches == nil {
		o.Watches = o.REST
	}
	if o.Settle == 0 {
		o.Settle = 2 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = time.Second
	}
	if o.CommitEvery == 0 {
		o.CommitEvery = 5 * time.Second
	}
	o.Shards = max(o.Shards, 1)
	if o.Waiting == nil {
		o.Waiting = func() time.Duration { return 0 }
	}
	if o.Silence == nil {
		o.Silence = func() (lasted, ago time.Duration) { return 0, 0 }
	}
	if o.StalledUntil == nil {
		o.StalledUntil = func(time.Time) time.Time { return time.Time{} }
	}
	if o.StallsKnown == nil {
		o.StallsKnown = func(time.Time) bool { return true }
	}
	if o.OtherWebhooks == nil {
		o.OtherWebhooks = noOthers{}
	}
	if o.AccountFor == nil {
		o.AccountFor = func(context.Context, time.Time) bool { return false }
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Ledger != nil && o.Ledger.Every == 0 {
		o.Ledger.Every = checkpointEvery
	}
	o.Limits = o.Limits.withDefaults()
	return o
}
