package rules

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// AttemptPath is where the recorder serves the entry of attempts on the record.
const AttemptPath = "/record/attempt"

const attemptWebhook = "attempt.recorder.trailkeeper.dev"

// Who tries to make, change or delete what is recorded is refused by the admission policies, and no validating webhook is
// asked about what they refuse. Mutating webhooks are asked before them. So there is one, which changes nothing, for what
// nobody but the operator may do to its API group. It never refuses: that is up to the policies.

// Attempts are the entries of the MutatingWebhookConfiguration; none when there is no trail.
func (s *Set) Attempts(endpoint func(path string) admissionregistrationv1.WebhookClientConfig) []admissionregistrationv1.MutatingWebhook {
	if len(s.tenants)+len(s.projects) == 0 {
		return nil
	}
	var (
		common  = newWebhook()
		failure = admissionregistrationv1.Ignore
		never   = admissionregistrationv1.NeverReinvocationPolicy
	)
	return []admissionregistrationv1.MutatingWebhook{{
		Name:                    attemptWebhook,
		ClientConfig:            endpoint(AttemptPath),
		Rules:                   protectedRecords().rules(admissionregistrationv1.NamespacedScope),
		FailurePolicy:           &failure,
		MatchPolicy:             common.MatchPolicy,
		NamespaceSelector:       &metav1.LabelSelector{},
		ObjectSelector:          common.ObjectSelector,
		SideEffects:             common.SideEffects,
		TimeoutSeconds:          common.TimeoutSeconds,
		AdmissionReviewVersions: common.AdmissionReviewVersions,
		ReinvocationPolicy:      &never,
		MatchConditions:         append(s.ownRecords(), notCleaning()),
	}}
}

// AppendAttemptMatches appends the match of each active trail that sees the request's namespace, whatever its rules say: who
// tries to silence a trail concerns it. What a rule wants is recorded at its level, the rest as Metadata.
func (s *Set) AppendAttemptMatches(dst []Match, req *Request) []Match {
	operation := operationOf(req.Operation)
	for _, trails := range [][]*CompiledTrail{s.tenants, s.projects[req.Namespace]} {
		for _, trail := range trails {
			level := trail.levelOf(req, operation, s.options.NamespaceLabels)
			if level == v1alpha1.LevelNone {
				level = v1alpha1.LevelMetadata
			}
			dst = append(dst, Match{Trail: trail, Level: level, FailurePolicy: v1alpha1.FailurePolicyIgnore})
		}
	}
	return dst
}

// protectedRecords are what the policies under config/policy keep everybody else from.
func protectedRecords() subscription {
	own := func(name, subresource string) resource {
		return resource{group: v1alpha1.GroupVersion.Group, name: name, sub: subresource}
	}
	return subscription{
		own("auditevents", ""):       opCreate | opUpdate | opDelete,
		own("auditevents", "status"): opUpdate,
		own("auditeventchunks", ""):  opCreate | opUpdate | opDelete,
		own("audittrails", "status"): opUpdate,
	}
}

// notCleaning keeps back the wipe of a namespace, which the policies allow.
func notCleaning() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name:       "not-the-wipe-of-a-namespace",
		Expression: not(and(in(celOperation, []string{"DELETE"}), machineCondition(v1alpha1.ActorControlPlane))),
	}
}
