package rules

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// A note that is given afterwards is part of the record that it explains. So it is recorded by the trail of the event
// that it is written on, whatever that trail's rules say, and is refused when it cannot be recorded.

// IsNote reports whether the request writes on an AuditEvent, of which only the note may change.
func IsNote(req *Request) bool {
	return req.Operation == "UPDATE" && req.Group == v1alpha1.GroupVersion.Group &&
		req.Resource == v1alpha1.AuditEventsResource.Resource && req.Subresource == ""
}

// AppendNoteMatch appends the match of the trail with this uid, if it is active, for a note on one of its events.
func (s *Set) AppendNoteMatch(dst []Match, req *Request, trail types.UID) []Match {
	if !IsNote(req) || req.Username == s.options.OperatorUsername {
		return dst
	}
	if owner := s.byUID[trail]; owner != nil {
		return append(dst, Match{Trail: owner, Level: v1alpha1.LevelChanges, FailurePolicy: v1alpha1.FailurePolicyFail})
	}
	return dst
}

// noteEntry asks for every note. It fails closed in all namespaces: nothing but a note is ever refused by it.
func (s *Set) noteEntry(client admissionregistrationv1.WebhookClientConfig) admissionregistrationv1.ValidatingWebhook {
	var (
		failure = admissionregistrationv1.Fail
		webhook = newWebhook()
		events  = resource{group: v1alpha1.GroupVersion.Group, name: v1alpha1.AuditEventsResource.Resource}
	)
	webhook.Name = noteWebhook
	webhook.ClientConfig = client
	webhook.FailurePolicy = &failure
	webhook.NamespaceSelector = &metav1.LabelSelector{}
	webhook.Rules = subscription{events: opUpdate}.rules(admissionregistrationv1.NamespacedScope)
	webhook.MatchConditions = s.ownRecords()
	return webhook
}
