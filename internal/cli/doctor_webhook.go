package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// webhookConfiguration is the one that the operator writes.
	webhookConfiguration = "trailkeeper-recorder"
	// certificateMargin is how long before their end certificates should have been replaced.
	certificateMargin = 7 * 24 * time.Hour
	// dialTimeout bounds an attempt to reach the recorder.
	dialTimeout = 5 * time.Second
)

func (e *examination) webhookConfiguration(ctx context.Context) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	return configuration, e.client.Get(ctx, client.ObjectKey{Name: webhookConfiguration}, configuration)
}

// webhook makes sure that the API server is told to send changes.
func (e *examination) webhook(ctx context.Context) []finding {
	const what = "Webhook"
	const remedy = "the operator writes it when a trail asks for something: look at its log, and at the trails below"
	configuration, err := e.webhookConfiguration(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return one(bad, what, remedy, "the ValidatingWebhookConfiguration %s is missing: nothing is recorded", webhookConfiguration)
	case err != nil:
		return e.cannotLook(what, err)
	case len(configuration.Webhooks) == 0:
		return one(doubtful, what, "make an AuditTrail, or end the suspension of one", "no trail asks for anything: nothing is recorded")
	}
	return one(good, what, "", "the API server is told to send what the trails ask for (%s)",
		amount(int64(len(configuration.Webhooks)), "entry", "entries"))
}

// endpoint makes sure that the recorder can be reached, with a certificate that the API server accepts.
func (e *examination) endpoint(ctx context.Context) []finding {
	const what = "Recorder"
	configuration, err := e.webhookConfiguration(ctx)
	if err != nil || len(configuration.Webhooks) == 0 {
		return nil // webhook has said so.
	}
	config := &configuration.Webhooks[0].ClientConfig
	findings := e.authority(config.CABundle)
	if config.URL != nil {
		return append(findings, e.dial(ctx, *config.URL, config.CABundle)...)
	}
	if config.Service == nil {
		return append(findings, one(bad, what, "restart the operator", "the webhook configuration names no endpoint")...)
	}
	return append(findings, e.service(ctx, config.Service)...)
}

// authority looks at the certificates by which the API server knows the recorder.
func (e *examination) authority(bundle []byte) []finding {
	const what = "Authority"
	const remedy = "the operator replaces it by itself: look at its log; or delete the Secret trailkeeper-webhook-ca and restart the operator"
	newest := time.Time{}
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.NotAfter.After(newest) {
			newest = certificate.NotAfter
		}
	}
	now := e.Clock.Now()
	switch {
	case newest.IsZero():
		return one(bad, what, remedy, "the webhook configuration has no authority: the API server cannot trust the recorder")
	case !newest.After(now):
		return one(bad, what, remedy, "the webhook's authority expired at %s", moment(newest))
	case newest.Before(now.Add(certificateMargin)):
		return one(doubtful, what, remedy, "the webhook's authority expires at %s, and should have been replaced by now", moment(newest))
	}
	return one(good, what, "", "the webhook's authority is valid until %s", moment(newest))
}

// dial reaches a recorder that has an address of its own, as the API server does.
func (e *examination) dial(ctx context.Context, address string, bundle []byte) []finding {
	const what = "Recorder"
	parsed, err := url.Parse(address)
	if err != nil {
		return one(bad, what, "correct the operator's --webhook-url", "the webhook's URL cannot be read: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	host := parsed.Host
	if parsed.Port() == "" {
		host = net.JoinHostPort(parsed.Hostname(), "443")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: parsed.Hostname(), MinVersion: tls.VersionTLS12}}
	connection, err := dialer.DialContext(ctx, "tcp", host)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return one(bad, what, "restart the operator, and make sure that --webhook-url names it and nothing else",
			"the recorder at %s has a certificate that the API server does not accept: %v", host, err)
	case err != nil:
		return one(bad, what, "make sure that the operator runs, and that a firewall lets the API server through",
			"the recorder at %s cannot be reached from here: %v", host, err)
	}
	_ = connection.Close()
	return one(good, what, "", "the recorder answers at %s, with a certificate that the API server accepts", host)
}

// service reaches the recorder through the API server, which is who must reach it.
func (e *examination) service(ctx context.Context, service *admissionregistrationv1.ServiceReference) []finding {
	const what = "Recorder"
	name := service.Namespace + "/" + service.Name
	ready, err := e.readyEndpoints(ctx, service)
	if err != nil {
		return e.cannotLook(what, err)
	}
	if ready == 0 {
		return one(bad, what, fmt.Sprintf("look at the operator's pods: kubectl describe pods -n %s", service.Namespace),
			"the Service %s has no endpoint that is ready", name)
	}
	port := int32(443)
	if service.Port != nil {
		port = *service.Port
	}
	// Any answer of its own says that the recorder was reached. Its path is nobody's to know, so it is not asked for.
	result := e.clients.CoreV1().RESTClient().Get().Namespace(service.Namespace).Resource("services").
		Name(fmt.Sprintf("https:%s:%d", service.Name, port)).SubResource("proxy").Suffix("/").Do(ctx)
	var status *apierrors.StatusError
	switch err := result.Error(); {
	case apierrors.IsForbidden(err):
		return one(good, what, "", "the Service %s has %s; whether the API server reaches them you may not try (services/proxy)",
			name, amount(int64(ready), "ready endpoint", "ready endpoints"))
	case apierrors.IsServiceUnavailable(err), err != nil && !errors.As(err, &status):
		return one(bad, what, "let the API server through to port 9443 of the operator's pods: in the NetworkPolicy, the nodes' security "+
			"group (EKS) or firewall (GKE private clusters)", "the API server does not reach the Service %s: %v", name, err)
	}
	return one(good, what, "", "the API server reaches the Service %s (%s)", name, amount(int64(ready), "ready endpoint", "ready endpoints"))
}

func (e *examination) readyEndpoints(ctx context.Context, service *admissionregistrationv1.ServiceReference) (int, error) {
	var slices discoveryv1.EndpointSliceList
	if err := e.client.List(ctx, &slices, client.InNamespace(service.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: service.Name}); err != nil {
		return 0, err
	}
	ready := 0
	for i := range slices.Items {
		for _, endpoint := range slices.Items[i].Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				ready++
			}
		}
	}
	return ready, nil
}

// trails shows the conditions of every trail that the user may read; they say themselves what to do.
func (e *examination) trails(ctx context.Context) []finding {
	const what = "Trails"
	trails, everywhere, err := e.readTrails(ctx)
	if err != nil {
		return e.cannotLook(what, err)
	}
	var findings []finding
	if !everywhere {
		findings = one(skippedCheck, what, "", "you may not list trails in all namespaces: only those of the namespace in use are looked at")
	}
	if len(trails) == 0 {
		return append(findings, one(doubtful, what, "make one: see config/samples and docs/getting-started.md", "there is no AuditTrail: nothing is recorded")...)
	}
	for i := range trails {
		findings = append(findings, e.trail(&trails[i])...)
	}
	return findings
}

func (e *examination) readTrails(ctx context.Context) (trails []v1alpha1.AuditTrail, everywhere bool, err error) {
	var list v1alpha1.AuditTrailList
	err = e.client.List(ctx, &list)
	if err == nil || !apierrors.IsForbidden(err) {
		return list.Items, true, err
	}
	namespace, err := e.namespace()
	if err != nil {
		return nil, false, err
	}
	err = e.client.List(ctx, &list, client.InNamespace(namespace))
	return list.Items, false, err
}
