package rules

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// IgnorePath is where the recorder serves the entry of failure policy Ignore.
	IgnorePath = "/record/ignore"
	// FailPath is where the recorder serves the entry of failure policy Fail.
	FailPath = "/record/fail"
	// NotePath is where the recorder serves the entry of notes on AuditEvents.
	NotePath = "/record/note"

	ignoreWebhook = "ignore.recorder.trailkeeper.dev"
	failWebhook   = "fail.recorder.trailkeeper.dev"
	noteWebhook   = "note.recorder.trailkeeper.dev"

	// timeoutSeconds is how long the API server waits. Recording takes milliseconds; a replica that is slower than
	// its own budget writes to its spill file instead and must still get its answer out. Five seconds leave room for
	// that, and are what a user waits at most under Ignore when the recorder is unreachable.
	timeoutSeconds = 5

	// maxFilterLength bounds the filter in bytes. The API server evaluates it for each request subscribed to.
	maxFilterLength = 16 << 10
)

// subject is a trail as one webhook entry sees it: everywhere, or in some namespaces only.
type subject struct {
	trail      *CompiledTrail
	namespaces []string // nil is everywhere
}

// Webhooks are the entries of the ValidatingWebhookConfiguration: one for each failure policy that has something to
// record, and that of notes; none when there is no trail. endpoint gives the client configuration for a path. The result is the same for the
// same trails in whatever order, and has every field that the API server would set by default.
func (s *Set) Webhooks(endpoint func(path string) admissionregistrationv1.WebhookClientConfig) []admissionregistrationv1.ValidatingWebhook {
	var webhooks []admissionregistrationv1.ValidatingWebhook
	for _, entry := range []struct {
		name, path string
		policy     v1alpha1.FailurePolicy
		failure    admissionregistrationv1.FailurePolicyType
	}{
		{ignoreWebhook, IgnorePath, v1alpha1.FailurePolicyIgnore, admissionregistrationv1.Ignore},
		{failWebhook, FailPath, v1alpha1.FailurePolicyFail, admissionregistrationv1.Fail},
	} {
		webhook := s.webhook(entry.policy)
		if len(webhook.Rules) == 0 {
			continue
		}
		webhook.Name = entry.name
		webhook.ClientConfig = endpoint(entry.path)
		webhook.FailurePolicy = &entry.failure
		webhooks = append(webhooks, webhook)
	}
	if len(s.tenants)+len(s.projects) > 0 {
		webhooks = append(webhooks, s.noteEntry(endpoint(NotePath)))
	}
	return webhooks
}

// webhook is the entry of a failure policy, but for its name and endpoint. Without rules it is of no use.
func (s *Set) webhook(policy v1alpha1.FailurePolicy) admissionregistrationv1.ValidatingWebhook {
	var (
		subjects   = s.subjects(policy)
		subscribed = subscription{}
		scope      = admissionregistrationv1.NamespacedScope
		webhook    = newWebhook()
	)
	for _, subject := range subjects {
		subscribed.add(subject.trail.rules)
		if subject.trail.Scope == v1alpha1.ScopeTenant {
			scope = admissionregistrationv1.AllScopes
		}
	}
	webhook.Rules = subscribed.rules(scope)
	webhook.NamespaceSelector = s.namespaceSelector(subjects, policy)
	webhook.MatchConditions = slices.Concat(s.ownRecords(), withoutReviews(webhook.Rules), wantedBy(subjects))
	return webhook
}

// newWebhook has what all entries have in common.
func newWebhook() admissionregistrationv1.ValidatingWebhook {
	var (
		matchPolicy = admissionregistrationv1.Equivalent
		sideEffects = admissionregistrationv1.SideEffectClassNoneOnDryRun
		timeout     = int32(timeoutSeconds)
	)
	return admissionregistrationv1.ValidatingWebhook{
		MatchPolicy:             &matchPolicy,
		ObjectSelector:          &metav1.LabelSelector{}, // users can label objects, so labels must not decide
		SideEffects:             &sideEffects,
		TimeoutSeconds:          &timeout,
		AdmissionReviewVersions: []string{"v1"},
	}
}

// subjects are the trails that an entry serves. A Fail trail's changes in the protected namespaces come under Ignore:
// they are recorded like the rest but never refused.
func (s *Set) subjects(policy v1alpha1.FailurePolicy) []subject {
	var (
		subjects  []subject
		protected = s.protectedNamespaces()
	)
	for _, trail := range s.Trails() {
		var (
			ignored = trail.FailurePolicy == v1alpha1.FailurePolicyIgnore ||
				trail.Scope == v1alpha1.ScopeProject && slices.Contains(protected, trail.Namespace)
			entry = subject{trail: trail}
		)
		if trail.Scope == v1alpha1.ScopeProject {
			entry.namespaces = []string{trail.Namespace}
		}
		switch {
		case ignored == (policy == v1alpha1.FailurePolicyIgnore):
			subjects = append(subjects, entry)
		case !ignored && trail.Scope == v1alpha1.ScopeTenant:
			entry.namespaces = protected
			subjects = append(subjects, entry)
		}
	}
	return subjects
}

// namespaceSelector selects by the name label, which the API server sets and nobody can change. It judges Namespaces by
// their own label, and never holds back other cluster-scoped objects.
func (s *Set) namespaceSelector(subjects []subject, policy v1alpha1.FailurePolicy) *metav1.LabelSelector {
	var (
		selector   metav1.LabelSelector
		namespaces []string
		everywhere bool
	)
	for _, subject := range subjects {
		namespaces = append(namespaces, subject.namespaces...)
		everywhere = everywhere || subject.namespaces == nil
	}
	if !everywhere {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: sortedUnique(namespaces),
		})
	}
	if policy == v1alpha1.FailurePolicyFail {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: s.protectedNamespaces(),
		})
	}
	return &selector
}

// ownRecords keeps back what the operator does to its own API group.
func (s *Set) ownRecords() []admissionregistrationv1.MatchCondition {
	if s.options.OperatorUsername == "" {
		return nil
	}
	return []admissionregistrationv1.MatchCondition{{
		Name: "not-the-operators-own-records",
		Expression: not(and(
			in(celUsername, []string{s.options.OperatorUsername}),
			in(celGroup, []string{v1alpha1.GroupVersion.Group}),
		)),
	}}
}

// wantedBy keeps back what no subject wants.
func wantedBy(subjects []subject) []admissionregistrationv1.MatchCondition {
	expression := filter(subjects)
	if expression == celTrue {
		return nil
	}
	return []admissionregistrationv1.MatchCondition{{Name: "wanted", Expression: expression}}
}

// filter is true for every request that a subject wants. When it grows too long it becomes coarser: first it forgets in
// which namespaces the rules hold, then it lets everything through.
func filter(subjects []subject) string {
	places := map[string][]string{}
	for _, subject := range subjects {
		body := subject.trail.wanted()
		if known, seen := places[body]; subject.namespaces == nil || seen && known == nil {
			places[body] = nil
		} else {
			places[body] = append(known, subject.namespaces...)
		}
	}
	var precise, coarse []string
	for body, namespaces := range places {
		coarse = append(coarse, body)
		if namespaces != nil {
			body = and(in(celNamespace, sortedUnique(namespaces)), body)
		}
		precise = append(precise, body)
	}
	for _, conditions := range [][]string{precise, coarse} {
		slices.Sort(conditions)
		if expression := or(conditions...); len(expression) <= maxFilterLength {
			return expression
		}
	}
	return celTrue
}

func sortedUnique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
