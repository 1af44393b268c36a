package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/presence"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// recordersLease is the Lease on which replicas leave their signs of life.
const recordersLease = "trailkeeper-recorders"

// Creating it uses the right to create Leases that leader election needs.
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=patch,resourceNames=trailkeeper-recorders,namespace=trailkeeper-system

// replicaName is the pod's name, which is its host name.
func replicaName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "unnamed"
	}
	return name
}

// newPresence keeps this replica's signs of life, and tells trails of windows without any.
func (o *operator) newPresence(firstCall func() (time.Time, bool)) *presence.Presence {
	return presence.New(presence.Options{
		Board:   &presence.Lease{Client: o.direct, Namespace: o.options.Namespace, Name: recordersLease},
		Replica: replicaName(),
		Ready: []func(*http.Request) error{
			o.rules.Ready, o.certs.Ready, o.mgr.GetWebhookServer().StartedChecker(),
		},
		FirstCall: firstCall,
		Stored:    o.storing.LastStored,
		Head:      o.head,
		Started: func(ctx context.Context, at time.Time) {
			if err := o.notices.Started(ctx, at); err != nil {
				log.FromContext(ctx).Error(err, "Cannot tell every trail that this replica started")
			}
		},
		Tell: func(ctx context.Context, window presence.Window) error {
			return o.notices.Absent(ctx, window.Start, window.End)
		},
		Clock: o.clock,
	})
}

// head is the API server's present resourceVersion. Asked by name in one namespace, it looks at one place.
func (o *operator) head(ctx context.Context) (string, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AuditEventList"))
	err := o.direct.List(ctx, list, client.InNamespace(o.options.Namespace), client.MatchingFields{metav1.ObjectNameField: "none"})
	if err != nil {
		return "", fmt.Errorf("asking for an AuditEvent: %w", err)
	}
	return list.ResourceVersion, nil
}

// runManager runs the manager until the context ends, while this replica gives signs of life until it no longer answers.
func (o *operator) runManager(ctx context.Context) error {
	alive, end := context.WithCancel(log.IntoContext(context.WithoutCancel(ctx), o.mgr.GetLogger()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.presence.Run(alive)
	}()
	err := o.mgr.Start(ctx)
	stopped := o.clock.Now()
	end()
	<-done
	o.leave(context.WithoutCancel(ctx), stopped)
	if err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

// leave says that this replica stopped in good order.
func (o *operator) leave(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	stopped, err := o.presence.Stop(ctx)
	if err != nil {
		o.mgr.GetLogger().Error(err, "Cannot mark that this replica stopped")
	}
	if !stopped {
		return
	}
	if err := o.notices.Stopped(ctx, at); err != nil {
		o.mgr.GetLogger().Error(err, "Cannot tell every trail that this replica stopped")
	}
}

// announceChange tells a trail which of its specs the API server has been told of.
func (o *operator) announceChange(trail *rules.CompiledTrail, generation int64, suspended bool) {
	message := fmt.Sprintf("From now on the trail records what its generation %d asks for", generation)
	if suspended {
		message = "The trail is suspended: from now on it records nothing"
	}
	o.announcer.Changed(v1alpha1.TrailReference{
		Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID),
	}, generation, message)
}
