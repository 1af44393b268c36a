package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/internal/follow"
	"github.com/trailkeeper/trailkeeper/internal/ledgerkey"
	"github.com/trailkeeper/trailkeeper/internal/otherwebhooks"
)

// serviceAccount is what the manifests call the operator's service account.
const serviceAccount = "trailkeeper-manager"

// addDelivery pushes events to their destinations. Every replica does, for the trails of the shards that it holds.
func (o *operator) addDelivery() error {
	o.auth = awsauth.New(awsauth.Options{
		Reader:            o.direct,
		Grants:            o.mgr.GetClient(),
		Tokens:            o.direct,
		OperatorNamespace: o.options.Namespace,
		ServiceAccount:    serviceAccount,
		ClusterID:         o.clusterID,
	})
	o.opener = cloudwatch.NewOpener(o.auth, o.clusterID)
	o.opener.Compress = o.options.CompressDeliveries
	o.delivery = delivery.New(o.deliveryOptions())
	changed := make(chan event.GenericEvent, 1)
	reconciler := &controllers.DeliveryReconciler{
		Reader: o.mgr.GetClient(), Deliverer: o.delivery, Identities: o.auth, Changed: changed, Forget: o.metrics.ForgetTrail,
	}
	followers, err := o.newFollowers(o.mgr, reconciler.IdentityChanged)
	if err != nil {
		return err
	}
	reconciler.Follower = followers
	if err := reconciler.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding delivery: %w", err)
	}
	hold, err := o.holdShards()
	if err != nil {
		return err
	}
	for _, part := range []everywhere{followers.Start, hold, func(ctx context.Context) error {
		relay(ctx, o.delivery.Changed(), changed)
		return nil
	}} {
		if err := o.add(part); err != nil {
			return err
		}
	}
	return nil
}

func (o *operator) deliveryOptions() delivery.Options {
	return delivery.Options{
		Namespace: o.options.Namespace,
		REST:      o.rest,
		Watches:   o.watches,
		Reader:    o.direct,
		Client:    o.direct,
		Open: func(ctx context.Context, trail *v1alpha1.AuditTrail) (delivery.Sink, error) {
			return o.opener.Open(ctx, trail)
		},
		Forget:             o.auth.Forget,
		Metrics:            &o.metrics.Delivery,
		Digester:           o.digester,
		DeletesAreRecorded: o.deletesAreRecorded,
		NothingMissed:      o.nothingMissed,
		Unrecorded:         o.unrecorded,
		AccountFor:         o.accountFor,
		Waiting:            o.waitingLocally,
		Silence:            o.presence.Silence,
		StalledUntil:       o.presence.StalledUntil,
		StallsKnown:        o.presence.StallsKnown,
		OtherWebhooks:      otherwebhooks.New(o.direct, controllers.WebhookConfigurationName, o.clock),
		Ledger:             o.ledgers(),
		Announce: func(ctx context.Context, gap delivery.Gap) error {
			return o.notices.Tell(ctx, gap.Trail, gap.At, gap.Subject, gap.Notice)
		},
		Clock:  o.clock,
		Shards: o.options.DeliveryShards,
		Limits: delivery.Limits{
			Single: o.options.BacklogSingle, Events: o.options.BacklogEvents, Bytes: o.options.BacklogBytes,
		},
	}
}

// ledgers are kept beside what is delivered.
func (o *operator) ledgers() *delivery.Ledger {
	keeper := ledgerkey.NewKeeper(o.direct, ledgerkey.Options{
		Namespace: o.options.Namespace, Lifetime: o.options.LedgerKeyLifetime, Clock: o.clock,
	})
	return &delivery.Ledger{
		Open: func(ctx context.Context, trail *v1alpha1.AuditTrail) (delivery.Sink, error) {
			return o.opener.OpenLedger(ctx, trail)
		},
		Streams: func(trail *v1alpha1.AuditTrail) (records, ledger string) {
			return o.opener.StreamName(trail), o.opener.LedgerStreamName(trail)
		},
		Signer:  keeper.Signer,
		Cluster: o.clusterID,
	}
}

// addTrails verifies trails and keeps the in-cluster copy of their events within bounds, on the leader.
func (o *leader) addTrails() error {
	trails := &controllers.TrailReconciler{
		Client:            o.mgr.GetClient(),
		Reader:            o.direct,
		Events:            o.mgr.GetEventRecorder("trailkeeper"),
		Clock:             o.clock,
		Auth:              o.auth,
		Streams:           o.opener,
		Recorded:          o.configuration,
		Drainer:           o.delivery,
		OperatorNamespace: o.options.Namespace,
		DrainTimeout:      o.options.DrainTimeout,
	}
	followers, err := o.newFollowers(o.mgr, trails.IdentityChanged)
	if err != nil {
		return err
	}
	if err := o.add(followers); err != nil {
		return err
	}
	trails.Follower = followers
	if err := trails.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding the trail controller: %w", err)
	}
	retention := &controllers.RetentionReconciler{
		Client: o.mgr.GetClient(), Events: o.direct, Namespace: o.options.Namespace, Metrics: o.metrics, Clock: o.clock,
	}
	if err := retention.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding the retention controller: %w", err)
	}
	return nil
}

// newFollowers follows what trails refer to.
func (o *operator) newFollowers(mgr manager.Manager, changed func(context.Context, types.NamespacedName)) (*follow.Followers, error) {
	c, err := client.NewWithWatch(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making a client that watches: %w", err)
	}
	return follow.New(follow.Options{Client: c, Changed: changed, Metrics: &o.metrics.Follow}), nil
}

// waitingLocally is for how long the oldest event has been waiting in this replica's file. Names tell when an event was
// recorded.
func (o *operator) waitingLocally() time.Duration {
	name, err := ulid.ParseStrict(strings.ToUpper(o.spill.Oldest()))
	if err != nil {
		return 0
	}
	return max(0, o.clock.Since(ulid.Time(name.Time())))
}

// deletesAreRecorded asks the rules in force.
func (o *operator) deletesAreRecorded(trail types.NamespacedName, ref *v1alpha1.ResourceReference) bool {
	set := o.rules.Load()
	if set == nil {
		return false
	}
	compiled := set.Trail(trail.Namespace, trail.Name)
	return compiled != nil && compiled.RecordsDeletesOf(ref)
}

// nothingMissed says that no change went unrecorded since a moment. Under Ignore one did when nobody answered.
func (o *operator) nothingMissed(trail types.NamespacedName, ref *v1alpha1.ResourceReference, since time.Time) bool {
	return o.hasAnsweredSince(since) || o.refuses(trail, ref)
}

// refuses says that a change that nobody records for the trail is refused.
func (o *operator) refuses(trail types.NamespacedName, ref *v1alpha1.ResourceReference) bool {
	set := o.rules.Load()
	if set == nil {
		return false
	}
	compiled := set.Trail(trail.Namespace, trail.Name)
	return compiled != nil && set.Refuses(compiled, ref.Namespace)
}

// unrecorded is since when changes may have gone unrecorded that a trail asks for, at a moment or later; the moment itself as long as this
// replica does not know the gaps before its start; zero when none did.
func (o *operator) unrecorded(trail types.NamespacedName, ref *v1alpha1.ResourceReference, moment time.Time) time.Time {
	if o.refuses(trail, ref) {
		return time.Time{}
	}
	past, known := o.presence.Past()
	if !known && !o.hasAnsweredSince(moment) {
		return moment
	}
	return past.GapAfter(moment)
}
