package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// SecretName is the Secret in the operator's namespace that holds the authorities.
	SecretName = "trailkeeper-webhook-ca"

	checkTimeout = 10 * time.Second
	retryFirst   = time.Second
	retryLongest = time.Minute
	jitter       = 0.2
)

// Options of a Rotator.
type Options struct {
	// Namespace of the operator, where the Secret is.
	Namespace string
	// Service is the name of the webhook's Service in that namespace.
	Service string
	// APIService is the name of the query API's Service there; its certificate is the same.
	APIService string
	// URL is how the API server reaches a webhook outside the cluster; empty inside.
	URL string
	// Lifetimes of the certificates; a year and a week when zero.
	Lifetimes Lifetimes
	// Clock is the real one when nil.
	Clock clock.Clock
}

// Rotator keeps the authorities and this replica's serving certificate fresh. It is a Runnable of the manager on
// every replica. Its methods may be called from any goroutine.
type Rotator struct {
	client client.Client
	secret client.ObjectKey
	hosts  []string
	lives  Lifetimes
	clock  clock.Clock

	changed chan struct{}

	mu     sync.RWMutex
	known  authorities
	tokens tokens
	bundle []byte
	leaf   *tls.Certificate
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=trailkeeper-system
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;update,resourceNames=trailkeeper-webhook-ca,namespace=trailkeeper-system

// NewRotator returns a Rotator. The client must read without a cache: the operator may not list Secrets. It fails
// when Options.URL has no host.
func NewRotator(c client.Client, options Options) (*Rotator, error) {
	hosts := []string{fmt.Sprintf("%s.%s.svc", options.Service, options.Namespace)}
	if options.APIService != "" {
		hosts = append(hosts, fmt.Sprintf("%s.%s.svc", options.APIService, options.Namespace))
	}
	if options.URL != "" {
		parsed, err := url.Parse(options.URL)
		if err != nil {
			return nil, fmt.Errorf("reading the webhook URL: %w", err)
		}
		if parsed.Hostname() == "" {
			return nil, fmt.Errorf("the webhook URL %q names no host: write it as https://HOST:PORT", options.URL)
		}
		hosts = append(hosts, parsed.Hostname())
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &Rotator{
		client:  c,
		secret:  client.ObjectKey{Namespace: options.Namespace, Name: SecretName},
		hosts:   hosts,
		lives:   options.Lifetimes.orDefaults(),
		clock:   options.Clock,
		changed: make(chan struct{}, 1),
	}, nil
}

// NeedLeaderElection is false: every replica serves.
func (r *Rotator) NeedLeaderElection() bool { return false }

// Start keeps the certificates fresh until ctx ends. Errors are logged and retried: what is in memory stays valid
// for days.
func (r *Rotator) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("certs").WithValues("secret", r.secret.String())
	retries := firstRetries()
	for {
		delay := wait.Jitter(r.lives.checkInterval(), jitter)
		if err := r.Refresh(log.IntoContext(ctx, logger)); err == nil {
			retries = firstRetries()
		} else if ctx.Err() == nil {
			delay = retries.Step()
			logger.Error(err, "Refreshing the webhook's certificates failed, will retry", "delay", delay.String())
		}
		timer := r.clock.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C():
		}
	}
}

func firstRetries() wait.Backoff {
	return wait.Backoff{Duration: retryFirst, Factor: 2, Jitter: jitter, Steps: 16, Cap: retryLongest}
}

// Refresh makes, adopts or renews whatever is due, once. The Secret is the truth; replicas that act at the same time
// are kept apart by the API server, and the one that is late adopts what the first one wrote.
func (r *Rotator) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	latest, err := r.agree(ctx)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		latest, err = r.agree(ctx) // another replica was first
	}
	if err != nil {
		return fmt.Errorf("agreeing on the webhook's certificate authority: %w", err)
	}
	return r.adopt(ctx, latest)
}

// agree reads the Secret and returns what it holds, writing it first when it is missing, unreadable or due. What
// this replica remembers goes back into a Secret that was lost, so that certificates in use stay valid.
func (r *Rotator) agree(ctx context.Context) (authorities, error) {
	var secret corev1.Secret
	err := r.client.Get(ctx, r.secret, &secret)
	if apierrors.IsNotFound(err) {
		return r.write(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.secret.Namespace, Name: r.secret.Name},
		}, r.remembered())
	}
	if err != nil {
		return authorities{}, err
	}
	stored, err := parseAuthorities(&secret)
	if err != nil {
		log.FromContext(ctx).Error(err, "Replacing the certificate authorities, because the Secret cannot be read")
		return r.write(ctx, &secret, r.remembered())
	}
	if stored.needsRenewal(r.clock.Now(), r.lives.Authority) {
		return r.write(ctx, &secret, stored)
	}
	return stored, nil
}

// write renews the authorities if that is due, and stores them unless another replica wrote meanwhile.
func (r *Rotator) write(ctx context.Context, secret *corev1.Secret, next authorities) (authorities, error) {
	now := r.clock.Now()
	if next.needsRenewal(now, r.lives.Authority) {
		var err error
		if next, err = next.renewed(now, r.lives.Authority); err != nil {
			return authorities{}, err
		}
	}
	if err := next.store(secret); err != nil {
		return authorities{}, err
	}
	log.FromContext(ctx).Info("Writing the certificate authorities", "expires", next.current.cert.NotAfter)
	if secret.ResourceVersion == "" {
		return next, r.client.Create(ctx, secret)
	}
	return next, r.client.Update(ctx, secret)
}

// adopt makes latest what this replica serves and hands out.
func (r *Rotator) adopt(ctx context.Context, latest authorities) error {
	now := r.clock.Now()
	tokens, err := latest.tokens()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaf == nil || !now.Before(renewAt(r.leaf.Leaf, r.lives.Serving)) || !latest.includes(r.leaf.Leaf.AuthorityKeyId) {
		leaf, err := latest.signer(now, r.lives.publishDelay()).issue(r.hosts, now, r.lives.Serving)
		if err != nil {
			return err
		}
		log.FromContext(ctx).Info("Serving a new certificate", "hosts", r.hosts, "expires", leaf.Leaf.NotAfter)
		r.leaf = leaf
	}
	r.known, r.tokens = latest, tokens
	if bundle := latest.bundle(now); !bytes.Equal(bundle, r.bundle) {
		r.bundle = bundle
		select {
		case r.changed <- struct{}{}:
		default: // the reader has a notice waiting, and will find this bundle
		}
	}
	return nil
}
