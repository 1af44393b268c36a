package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// dialEvery is how often a replica calls itself.
	dialEvery = 10 * time.Second
	// failuresToLeave is after how many calls in vain a replica is not ready: one may be lost on a busy machine.
	failuresToLeave = 2
)

var errNotServing = errors.New("the recorder does not answer, or does not prove itself, at its own address")

// dialer calls the recorder as an API server would: at its own address, which says whether this replica can be sent anything,
// and at the address of the webhook configuration, which says whether the API server reaches any.
//
// Only the first makes a replica unready. Whether the Service leads here depends on readiness: were it the other way round as
// well, replicas that once were unready together would stay so.
type dialer struct {
	verify func(ctx context.Context, address string) error
	// own and public are the two addresses.
	own, public string
	// reached is told whether the second answered.
	reached func(bool)

	failures atomic.Int32
}

// NeedLeaderElection is false: every replica answers.
func (d *dialer) NeedLeaderElection() bool { return false }

// Start calls until the context ends: often until the first success, then regularly.
func (d *dialer) Start(ctx context.Context) error {
	d.failures.Store(failuresToLeave)
	for ctx.Err() == nil && d.callItself(ctx) != nil {
		wait(ctx, readyInterval)
	}
	reachable := true
	for ctx.Err() == nil {
		wait(ctx, dialEvery)
		if err := d.callItself(ctx); err != nil && ctx.Err() == nil {
			ctrl.Log.Error(err, "The recorder cannot be called at its own address", "address", d.own)
		}
		reachable = d.callPublic(ctx, reachable)
	}
	return nil
}

// callPublic says whether the call succeeded, and logs when it did before and does not now.
func (d *dialer) callPublic(ctx context.Context, before bool) bool {
	err := d.verify(ctx, d.public)
	if ctx.Err() != nil {
		return before
	}
	d.reached(err == nil)
	if err != nil && before {
		ctrl.Log.Error(err, "The recorder cannot be called where the API server calls it", "address", d.public)
	}
	return err == nil
}

func (d *dialer) callItself(ctx context.Context) error {
	err := d.verify(ctx, d.own)
	if err == nil {
		d.failures.Store(0)
		return nil
	}
	d.failures.Add(1)
	return err
}

// ready fits healthz.Checker.
func (d *dialer) ready(*http.Request) error {
	if d.failures.Load() >= failuresToLeave {
		return errNotServing
	}
	return nil
}

func (o *operator) newDialer() *dialer {
	d := &dialer{
		verify: o.certs.Verify, own: ownAddress(o.options.bindAddress()), public: o.publicAddress(), reached: o.metrics.Webhook.Reachable,
	}
	d.failures.Store(failuresToLeave)
	return d
}

// ownAddress is where a server that listens at bind is reached from the same machine.
func ownAddress(bind string) string {
	host, port, err := net.SplitHostPort(bind)
	if err != nil || host == "" || net.ParseIP(host).IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return bind
}

// publicAddress is where the API server calls.
func (o *operator) publicAddress() string {
	if parsed, err := url.Parse(o.options.WebhookURL); err == nil && parsed.Host != "" {
		return parsed.Host
	}
	return webhookService + "." + o.options.Namespace + ".svc:443"
}
