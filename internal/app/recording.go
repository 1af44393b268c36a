package app

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/certs"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/recorder"
	"github.com/trailkeeper/trailkeeper/internal/rules"
	"github.com/trailkeeper/trailkeeper/internal/spill"
)

// addCertificates keeps the certificate with which the recorder serves.
func (o *operator) addCertificates() error { return o.add(o.certs) }

// addRecorder serves admission calls on every replica.
func (o *operator) addRecorder() error {
	store := recorder.NewStore(o.rest, o.options.Namespace, o.spill, func() string { return o.presence.Position() }, &o.metrics.Recorder)
	o.notices = recorder.NewNotices(o.rules, store, o.ruleSet.OperatorUsername, replicaName())
	o.announcer = recorder.NewAnnouncer(o.notices, o.clock)
	if err := o.add(o.announcer); err != nil {
		return err
	}
	handler := recorder.New(o.rules, store, o.digester, &o.metrics.Recorder, o.announcer, o.clock)
	o.recorder = handler
	o.presence = o.newPresence(handler.FirstCall)
	for path, answer := range map[string]http.Handler{
		rules.IgnorePath:  handler.Handler(v1alpha1.FailurePolicyIgnore),
		rules.FailPath:    handler.Handler(v1alpha1.FailurePolicyFail),
		rules.NotePath:    handler.NoteHandler(),
		rules.AttemptPath: handler.AttemptHandler(),
	} {
		// The token stays out of the pattern: patterns are logged, and labels of metrics.
		o.mgr.GetWebhookServer().Register(path+"/", o.certs.Guard(path, o.callers, o.metrics.Webhook.Stranger, answer))
	}

	ruleSet := &controllers.RuleSetReconciler{Reader: o.mgr.GetClient(), Options: o.ruleSet, Store: o.rules}
	if err := ruleSet.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding the rules: %w", err)
	}
	o.replayer = spill.NewReplayer(o.spill, replay{store, o.metrics, o.announcer})
	return o.add(o.replayer)
}

// replay writes events from the local file into the API server. An event that the API server will never take is
// counted as lost, so that those behind it are not.
type replay struct {
	store   *recorder.Store
	metrics *metrics.Metrics
	lost    *recorder.Announcer
}

func (r replay) Write(ctx context.Context, record spill.Record) error {
	key := types.NamespacedName{Namespace: record.Namespace, Name: record.Name}
	_, err := r.store.Create(ctx, key, record.Body)
	switch {
	case err == nil:
		r.metrics.Spill.Replayed()
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		log.FromContext(ctx).Error(err, "The API server refuses an event for good", "event", key.String())
		r.metrics.Recorder.EventLost()
		var event v1alpha1.AuditEvent
		if json.Unmarshal(record.Body, &event) == nil {
			r.lost.Lost(event.Spec.TrailRef, event.Spec.Time.Time)
		}
	default:
		return err
	}
	return nil
}

// webhookServer listens where the options say, with the operator's own certificate.
func webhookServer(
	options Options, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), callers certs.Callers,
) (webhook.Server, error) {
	host, port, err := net.SplitHostPort(options.bindAddress())
	if err != nil {
		return nil, fmt.Errorf("reading the address to listen at: %w", err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("reading the port to listen at: %w", err)
	}
	return webhook.NewServer(webhook.Options{
		Host:    host,
		Port:    number,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = certificate }, callers.Configure},
	}), nil
}

// addConfiguration keeps the API server's webhook configuration as the trails ask, on the leader.
func (o *leader) addConfiguration() error {
	changed, changedToo := make(chan event.GenericEvent, 1), make(chan event.GenericEvent, 1)
	o.configuration = &controllers.WebhookConfigurationReconciler{
		Client:              o.mgr.GetClient(),
		APIReader:           o.mgr.GetAPIReader(),
		Options:             o.ruleSet,
		Endpoint:            o.endpoint(),
		CABundle:            o.certs.Bundle,
		CertificatesChanged: changed,
		Settle:              time.Second,
		OnRestored: func(r controllers.Restoration) {
			o.metrics.Webhook.Restored()
			o.announcer.Restored(r.What, r.LastGood, r.Restored)
		},
		OnChanged: o.announceChange,
		Stopping:  o.stopping.Load,
	}
	if err := o.configuration.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding the webhook configuration: %w", err)
	}
	o.attempts = &controllers.AttemptConfigurationReconciler{
		Client: o.mgr.GetClient(), APIReader: o.mgr.GetAPIReader(), Options: o.ruleSet, Endpoint: o.endpoint(),
		CABundle: o.certs.Bundle, CertificatesChanged: changedToo,
		Stopping: o.stopping.Load, OnRestored: o.metrics.Webhook.Restored,
	}
	if err := o.attempts.SetupWithManager(o.mgr); err != nil {
		return fmt.Errorf("adding the webhook configuration of attempts: %w", err)
	}
	return o.add(manager.RunnableFunc(func(ctx context.Context) error {
		relay(ctx, o.certs.Changed(), changed, changedToo)
		return nil
	}))
}

// relay passes on that the certificate changed.
func relay(ctx context.Context, from <-chan struct{}, all ...chan<- event.GenericEvent) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-from:
		}
		for _, to := range all {
			select {
			case to <- event.GenericEvent{}:
			case <-ctx.Done():
				return
			}
		}
	}
}

// endpoint is where the API server is to call: a path of the recorder's, and the token that nobody else knows.
func (o *operator) endpoint() func(path string) admissionregistrationv1.WebhookClientConfig {
	at := controllers.ServiceEndpoint(o.options.Namespace, webhookService)
	if o.options.WebhookURL != "" {
		at = controllers.URLEndpoint(o.options.WebhookURL)
	}
	return func(path string) admissionregistrationv1.WebhookClientConfig { return at(path + "/" + o.certs.Token()) }
}
