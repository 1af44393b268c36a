package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/internal/follow"
)

// serviceAccount is what the manifests call the operator's service account.
const serviceAccount = "trailkeeper-manager"

// addDelivery pushes events to their destinations, on the leader.
func (o *leader) addDelivery() error {
	o.auth = awsauth.New(awsauth.Options{
		Reader:            o.direct,
		Grants:            o.mgr.GetClient(),
		Tokens:            o.direct,
		OperatorNamespace: o.options.Namespace,
		ServiceAccount:    serviceAccount,
		ClusterID:         o.clusterID,
	})
	o.opener = cloudwatch.NewOpener(o.auth, o.clusterID)
	o.delivery = delivery.New(delivery.Options{
		Namespace: o.options.Namespace,
		REST:      o.rest,
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
		Waiting:            o.waitingLocally,
		Clock:              o.clock,
		Limits: delivery.Limits{
			Single: o.options.BacklogSingle, Events: o.options.BacklogEvents, Bytes: o.options.BacklogBytes,
		},
	})
	if err := o.add(o.delivery); err != nil {
		return err
	}
	reconciler := &controllers.DeliveryReconciler{
		Reader: o.mgr.GetClient(), Deliverer: o.delivery, Forget: o.metrics.ForgetTrail,
	}
	if err := reconciler.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding delivery: %w", err)
	}
	return nil
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
	followers, err := o.newFollowers(trails.IdentityChanged)
	if err != nil {
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

// newFollowers follows what trails refer to, on the leader.
func (o *leader) newFollowers(changed func(context.Context, types.NamespacedName)) (*follow.Followers, error) {
	c, err := client.NewWithWatch(o.mgr.GetConfig(), client.Options{HTTPClient: o.mgr.GetHTTPClient(), Mapper: o.mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making a client that watches: %w", err)
	}
	followers := follow.New(follow.Options{Client: c, Changed: changed})
	return followers, o.add(followers)
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

// nothingMissed says that no change went unrecorded since a moment. Under Ignore one did when nobody answered; this
// replica knows of the time since it was ready.
func (o *operator) nothingMissed(trail types.NamespacedName, ref *v1alpha1.ResourceReference, since time.Time) bool {
	if o.hasAnsweredSince(since) {
		return true
	}
	set := o.rules.Load()
	if set == nil {
		return false
	}
	compiled := set.Trail(trail.Namespace, trail.Name)
	return compiled != nil && set.Refuses(compiled, ref.Namespace)
}
