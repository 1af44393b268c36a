package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// What the manifests call things.
const (
	recordersLease      = "trailkeeper-recorders"
	recorderFlowSchema  = "trailkeeper-recorder"
	exemptPriorityLevel = "exempt"
	applyManifests      = "apply the manifests again: kubectl apply --server-side -k config/default, or config/outside-cluster"
)

// api makes sure that the kinds are served.
func (e *examination) api(context.Context) []finding {
	const what = "API"
	list, err := e.clients.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if apierrors.IsNotFound(err) {
		return one(bad, what, applyManifests, "%s is not served: Trailkeeper's CRDs are not installed", v1alpha1.GroupVersion)
	}
	if err != nil {
		return one(bad, what, "check the kubeconfig, its context and the network", "the API server does not answer: %v", err)
	}
	kinds := map[string]bool{}
	for i := range list.APIResources {
		kinds[list.APIResources[i].Name] = true
	}
	for _, resource := range []string{"audittrails", "auditevents", "auditeventchunks"} {
		if !kinds[resource] {
			return one(bad, what, applyManifests, "%s are not served: a CRD is missing", resource)
		}
	}
	return one(good, what, "", "AuditTrail and AuditEvent are served")
}

// ownRights says whether the user may read events, where the context points to.
func (e *examination) ownRights(ctx context.Context) []finding {
	const what = "You"
	namespace, err := e.namespace()
	if err != nil {
		return one(bad, what, "", "%v", err)
	}
	allowed, err := e.mayI(ctx, namespace)
	if err != nil {
		return one(doubtful, what, "", "cannot tell what you may do: %v", err)
	}
	if !allowed {
		return one(doubtful, what, bindIn(namespace, viewerRole), "you may not list auditevents in namespace %s", namespace)
	}
	return one(good, what, "", "you may list auditevents in namespace %s", namespace)
}

func (e *examination) mayI(ctx context.Context, namespace string) (bool, error) {
	review, err := e.clients.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: v1alpha1.AuditEventsResource.Resource,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// silentAfter is how old a replica's last sign of life may be. Replicas give one every two seconds; the rest is for clocks
// that differ.
const silentAfter = 30 * time.Second

// replicas makes sure that somebody records.
func (e *examination) replicas(ctx context.Context) []finding {
	const what = "Replicas"
	lease := &coordinationv1.Lease{}
	err := e.client.Get(ctx, client.ObjectKey{Namespace: e.operatorNamespace, Name: recordersLease}, lease)
	remedy := fmt.Sprintf("look at the operator: kubectl get pods,events -n %s, and kubectl logs -n %s -l app.kubernetes.io/name=trailkeeper; "+
		"if it runs in another namespace, give that with --operator-namespace", e.operatorNamespace, e.operatorNamespace)
	if apierrors.IsNotFound(err) {
		return one(bad, what, remedy, "no replica has ever recorded: Lease %s/%s is missing", e.operatorNamespace, recordersLease)
	}
	if err != nil {
		return e.cannotLook(what, err)
	}
	alive, last := signsOfLife(lease.Annotations, e.Clock.Now())
	if len(alive) == 0 {
		return one(bad, what, remedy, "no replica records; the last sign of life was at %s", moment(last))
	}
	if len(alive) == 1 {
		return one(doubtful, what, "run two, so that changes are recorded while one restarts", "one replica records: %s", alive[0])
	}
	return one(good, what, "", "%d replicas record", len(alive))
}

// signsOfLife are the replicas that live by their entries in the Lease, and the last sign of life of any.
func signsOfLife(annotations map[string]string, now time.Time) (alive []string, last time.Time) {
	for key, value := range annotations {
		var entry struct {
			Replica string    `json:"replica"`
			Seen    time.Time `json:"seen"`
			Stopped bool      `json:"stopped"`
		}
		if !strings.HasPrefix(key, "recorder.audit.trailkeeper.dev/") || json.Unmarshal([]byte(value), &entry) != nil {
			continue
		}
		if entry.Seen.After(last) {
			last = entry.Seen
		}
		if !entry.Stopped && now.Sub(entry.Seen) < silentAfter {
			alive = append(alive, entry.Replica)
		}
	}
	return alive, last
}

// operatorRights asks the API server whether the operator may do what it must.
func (e *examination) operatorRights(ctx context.Context) []finding {
	const what = "RBAC"
	operator := e.operatorUsername()
	for _, need := range []authorizationv1.ResourceAttributes{
		{Verb: "create", Group: v1alpha1.GroupVersion.Group, Resource: "auditevents"},
		{Verb: "watch", Group: v1alpha1.GroupVersion.Group, Resource: "auditevents"},
		{Verb: "delete", Group: v1alpha1.GroupVersion.Group, Resource: "auditevents"},
		{Verb: "patch", Group: v1alpha1.GroupVersion.Group, Resource: "auditevents", Subresource: "status"},
		{Verb: "watch", Group: v1alpha1.GroupVersion.Group, Resource: "audittrails"},
		{Verb: "patch", Group: v1alpha1.GroupVersion.Group, Resource: "audittrails", Subresource: "status"},
		{Verb: "create", Group: v1alpha1.GroupVersion.Group, Resource: "auditeventchunks", Namespace: e.operatorNamespace},
		{Verb: "update", Group: admissionregistrationv1.GroupName, Resource: "validatingwebhookconfigurations", Name: webhookConfiguration},
		{Verb: "patch", Group: coordinationv1.GroupName, Resource: "leases", Namespace: e.operatorNamespace, Name: recordersLease},
		{Verb: "get", Resource: "secrets", Namespace: e.operatorNamespace, Name: "trailkeeper-webhook-ca"},
		{Verb: "get", Resource: "configmaps", Namespace: metav1.NamespaceDefault},
	} {
		review, err := e.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: operator, Groups: []string{
				"system:serviceaccounts", "system:serviceaccounts:" + e.operatorNamespace, "system:authenticated",
			}, ResourceAttributes: &need},
		}, metav1.CreateOptions{})
		if err != nil {
			return e.cannotLook(what, err)
		}
		if !review.Status.Allowed {
			return one(bad, what, applyManifests+"; in a cluster with its own role view, bind trailkeeper-outcome-reader too",
				"the operator (%s) may not %s %s", operator, need.Verb, strings.Trim(need.Resource+"/"+need.Subresource, "/"))
		}
	}
	return one(good, what, "", "the operator has the rights that it needs")
}

// policies makes sure that nobody but the operator writes events.
func (e *examination) policies(ctx context.Context) []finding {
	const what = "Policies"
	for _, name := range []string{
		"trailkeeper-auditevents", "trailkeeper-auditeventchunks", "trailkeeper-audittrails", "trailkeeper-finalizer", "trailkeeper-identity",
		"trailkeeper-quotas", "trailkeeper-role-grants", "trailkeeper-roles",
	} {
		err := e.client.Get(ctx, client.ObjectKey{Name: name}, &admissionregistrationv1.ValidatingAdmissionPolicy{})
		if err == nil {
			err = e.client.Get(ctx, client.ObjectKey{Name: name}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{})
		}
		if apierrors.IsNotFound(err) {
			return one(bad, what, applyManifests, "the policy %s, or its binding, is missing: the record is not protected", name)
		}
		if err != nil {
			return e.cannotLook(what, err)
		}
	}
	return one(good, what, "", "the policies that protect the record are there")
}

// priority makes sure that storing an event does not wait behind the changes that wait for it.
func (e *examination) priority(ctx context.Context) []finding {
	const what = "Priority"
	schema := &flowcontrolv1.FlowSchema{}
	err := e.client.Get(ctx, client.ObjectKey{Name: recorderFlowSchema}, schema)
	switch {
	case apierrors.IsNotFound(err):
		return one(bad, what, "kubectl apply --server-side -k config/flowcontrol",
			"the FlowSchema %s is missing: under load, changes wait for events that wait for changes", recorderFlowSchema)
	case err != nil:
		return e.cannotLook(what, err)
	case schema.Spec.PriorityLevelConfiguration.Name != exemptPriorityLevel:
		return one(bad, what, "kubectl apply --server-side -k config/flowcontrol",
			"the FlowSchema %s gives priority level %s, not %s", recorderFlowSchema, schema.Spec.PriorityLevelConfiguration.Name, exemptPriorityLevel)
	}
	for _, condition := range schema.Status.Conditions {
		if condition.Type == flowcontrolv1.FlowSchemaConditionDangling && condition.Status == flowcontrolv1.ConditionTrue {
			return one(bad, what, "make sure of the priority level "+exemptPriorityLevel, "the FlowSchema %s is dangling: %s", recorderFlowSchema, condition.Message)
		}
	}
	return one(good, what, "", "events are stored in the priority level %s", exemptPriorityLevel)
}

// cannotLook is a check that the user may not make, or that failed.
func (e *examination) cannotLook(what string, err error) []finding {
	if apierrors.IsForbidden(err) {
		return one(skippedCheck, what, "", "you may not look: %v", err)
	}
	return one(doubtful, what, "", "cannot tell: %v", err)
}
