// Package otherwebhooks knows for how long the validating webhooks of others may keep a change after the recorder has answered: the API
// server calls all of them at the same time, and makes the change when the last has answered or its time is up.
package otherwebhooks

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// listEvery is how old a list of the configurations may be.
	listEvery = 10 * time.Second
	// listTimeout bounds a list.
	listTimeout = 10 * time.Second
	// defaultTimeout is that of a webhook that sets none.
	// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts
	defaultTimeout = 10
)

// Webhooks are the validating webhooks but for the operator's own.
type Webhooks struct {
	reader client.Reader
	own    string
	clock  clock.PassiveClock

	// refreshing is held while they are listed, which may take long, and guards when they were.
	refreshing sync.Mutex
	listed     time.Time

	mu    sync.Mutex
	hooks []hook
	// known are answers of before.
	known map[change]time.Duration
}

// hook is a webhook: what it is asked about, and for how long at most.
type hook struct {
	rules   []admissionregistrationv1.RuleWithOperations
	timeout time.Duration
}

// change is what webhooks ask to be told of.
type change struct {
	group, resource, subresource string
	action                       v1alpha1.Action
}

// New returns the webhooks that a reader shows, without those of the configuration that is the operator's own.
func New(reader client.Reader, own string, clock clock.PassiveClock) *Webhooks {
	return &Webhooks{reader: reader, own: own, clock: clock}
}

// Refresh lists the configurations, unless that was done within the last ten seconds.
func (w *Webhooks) Refresh(ctx context.Context) error {
	w.refreshing.Lock()
	defer w.refreshing.Unlock()
	if !w.listed.IsZero() && w.clock.Since(w.listed) < listEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	var list admissionregistrationv1.ValidatingWebhookConfigurationList
	if err := w.reader.List(ctx, &list); err != nil {
		return fmt.Errorf("listing validating webhooks: %w", err)
	}
	hooks := []hook{}
	for i := range list.Items {
		if list.Items[i].Name == w.own {
			continue
		}
		for _, webhook := range list.Items[i].Webhooks {
			seconds := ptr.Deref(webhook.TimeoutSeconds, defaultTimeout)
			hooks = append(hooks, hook{webhook.Rules, time.Duration(seconds) * time.Second})
		}
	}
	w.listed = w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks, w.known = hooks, map[change]time.Duration{}
	return nil
}

// Longest is the longest time-out of those that may be asked about a change, by their rules; 0 when none is. Selectors and conditions may
// hold a change back from a webhook, and are not looked at.
func (w *Webhooks) Longest(ref *v1alpha1.ResourceReference, action v1alpha1.Action) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	about := change{ref.Group, ref.Resource, ref.Subresource, action}
	longest, known := w.known[about]
	if known {
		return longest
	}
	for _, hook := range w.hooks {
		if slices.ContainsFunc(hook.rules, about.isAskedFor) {
			longest = max(longest, hook.timeout)
		}
	}
	if w.known != nil {
		w.known[about] = longest
	}
	return longest
}

func (c change) isAskedFor(rule admissionregistrationv1.RuleWithOperations) bool {
	return slices.ContainsFunc(rule.Operations, c.isOperation) && slices.ContainsFunc(rule.APIGroups, func(group string) bool {
		return group == "*" || group == c.group
	}) && slices.ContainsFunc(rule.Resources, func(form string) bool {
		resource, sub, _ := strings.Cut(form, "/")
		return (resource == "*" || resource == c.resource) && (sub == "*" || sub == c.subresource)
	})
}

// isOperation says that the API server may ask for the change as such an operation: a deletion is one, or the update that removes the last
// finalizer, or the creation of an eviction.
func (c change) isOperation(operation admissionregistrationv1.OperationType) bool {
	if operation == admissionregistrationv1.OperationAll {
		return true
	}
	switch c.action {
	case v1alpha1.ActionCreate:
		return operation == admissionregistrationv1.Create
	case v1alpha1.ActionUpdate:
		return operation == admissionregistrationv1.Update
	case v1alpha1.ActionDelete:
		if c.subresource == "eviction" {
			return operation == admissionregistrationv1.Create
		}
		return operation == admissionregistrationv1.Delete || operation == admissionregistrationv1.Update
	default:
		return false
	}
}
