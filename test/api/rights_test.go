package api_test

import (
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const operatorUser = "system:serviceaccount:" + testenv.OperatorNamespace + ":" + testenv.OperatorServiceAccount

// right is one question to the API server's authorizer.
type right struct {
	verb, group, resource, subresource, namespace, name string
}

func TestWhatTheOperatorMayDo(t *testing.T) {
	const own, apps, audit, admission = testenv.OperatorNamespace, "apps", "audit.trailkeeper.dev", "admissionregistration.k8s.io"
	for _, allowed := range []right{
		{verb: "create", group: audit, resource: "auditevents", namespace: "shop"},
		{verb: "watch", group: audit, resource: "auditevents"},
		{verb: "delete", group: audit, resource: "auditevents", namespace: "shop", name: "old"},
		{verb: "patch", group: audit, resource: "auditevents", subresource: "status", namespace: "shop"},
		{verb: "patch", group: audit, resource: "audittrails", subresource: "status", namespace: "shop"},
		{verb: "patch", group: audit, resource: "audittrails", namespace: "shop"},
		{verb: "update", group: admission, resource: "validatingwebhookconfigurations", name: "trailkeeper-recorder"},
		{verb: "create", group: admission, resource: "validatingwebhookconfigurations"},
		{verb: "get", resource: "configmaps", namespace: "shop"},
		{verb: "get", group: apps, resource: "deployments", namespace: "shop"},
		{verb: "get", resource: "nodes"},
		{verb: "get", resource: "namespaces", name: "kube-system"},
		{verb: "get", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings"},
		{verb: "get", group: "storage.k8s.io", resource: "storageclasses"},
		{verb: "get", resource: "secrets", namespace: own, name: "trailkeeper-webhook-ca"},
		{verb: "get", resource: "secrets", namespace: own, name: "trailkeeper-digest-key"},
		{verb: "get", resource: "secrets", namespace: own, name: "trailkeeper-ledger-key"},
		{verb: "update", resource: "secrets", namespace: own, name: "trailkeeper-ledger-key"},
		{verb: "update", resource: "secrets", namespace: own, name: "trailkeeper-webhook-ca"},
		{verb: "update", group: "coordination.k8s.io", resource: "leases", namespace: own, name: "trailkeeper-leader"},
		{verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: own, name: "trailkeeper-recorders"},
		{verb: "create", group: "events.k8s.io", resource: "events", namespace: "shop"},
		{verb: "watch", resource: "configmaps", namespace: own, name: "trailkeeper-role-grants"},
		{verb: "create", group: audit, resource: "auditeventchunks", namespace: own},
		{verb: "get", group: audit, resource: "auditeventchunks", namespace: own},
		{verb: "list", group: audit, resource: "auditeventchunks", namespace: own},
		{verb: "delete", group: audit, resource: "auditeventchunks", namespace: own},
	} {
		expectRight(t, operatorUser, allowed, true)
	}
	for _, denied := range []right{
		{verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: own, name: "somebody-elses"},
		{verb: "list", group: "coordination.k8s.io", resource: "leases", namespace: own},
		{verb: "get", resource: "secrets", namespace: "shop", name: "audit-credentials"},
		{verb: "list", resource: "secrets", namespace: own},
		{verb: "get", resource: "secrets", namespace: own, name: "aws-credentials"},
		{verb: "update", resource: "secrets", namespace: own, name: "trailkeeper-digest-key"},
		{verb: "delete", resource: "secrets", namespace: own, name: "trailkeeper-ledger-key"},
		{verb: "get", resource: "secrets", namespace: "shop", name: "trailkeeper-ledger-key"},
		{verb: "list", resource: "secrets"},
		{verb: "create", resource: "serviceaccounts", subresource: "token", namespace: "shop"},
		{verb: "update", group: admission, resource: "validatingwebhookconfigurations", name: "somebody-elses"},
		{verb: "delete", group: admission, resource: "validatingadmissionpolicies", name: "trailkeeper-auditevents"},
		{verb: "update", group: audit, resource: "auditevents", namespace: "shop"},
		{verb: "create", group: audit, resource: "audittrails", namespace: "shop"},
		{verb: "get", group: audit, resource: "auditeventchunks", namespace: "shop"},
		{verb: "update", group: audit, resource: "auditeventchunks", namespace: own},
		{verb: "update", resource: "configmaps", namespace: "shop"},
		{verb: "update", resource: "configmaps", namespace: own, name: "trailkeeper-role-grants"},
		{verb: "watch", resource: "secrets", namespace: "shop", name: "audit-credentials"},
		{verb: "update", group: "coordination.k8s.io", resource: "leases", namespace: "kube-system", name: "trailkeeper-leader"},
		{verb: "create", group: "rbac.authorization.k8s.io", resource: "rolebindings", namespace: "shop"},
	} {
		expectRight(t, operatorUser, denied, false)
	}
}

func TestWhatTheBuiltInRolesMayDo(t *testing.T) {
	g := NewWithT(t)
	clients := adminClients(t)
	for _, role := range []string{"view", "edit", "admin"} {
		_, err := clients.RbacV1().RoleBindings("default").Create(t.Context(), roleBinding(role), metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() {
			g.Expect(clients.RbacV1().RoleBindings("default").Delete(withoutCancel(t), role, metav1.DeleteOptions{})).To(Succeed())
		})
	}
	const audit = "audit.trailkeeper.dev"
	for asked, users := range map[right]map[string]bool{
		{verb: "list", group: audit, resource: "auditevents"}:   {"view-user": true, "edit-user": true, "admin-user": true},
		{verb: "list", group: audit, resource: "audittrails"}:   {"view-user": true, "edit-user": true, "admin-user": true},
		{verb: "create", group: audit, resource: "audittrails"}: {"view-user": false, "edit-user": true, "admin-user": true},
		{verb: "patch", group: audit, resource: "auditevents"}:  {"view-user": false, "edit-user": true, "admin-user": true},
		{verb: "create", group: audit, resource: "auditevents"}: {"view-user": false, "edit-user": false, "admin-user": false},
		{verb: "delete", group: audit, resource: "auditevents"}: {"view-user": false, "edit-user": false, "admin-user": false},
	} {
		for user, want := range users {
			asked.namespace = "default"
			expectRight(t, user, asked, want)
		}
	}
}

// roleBinding gives the user ROLE-user the built-in role of that name.
func roleBinding(role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role + "-user"}},
	}
}

// The API server names, in its answer, the flow schema and priority level under which it ran a request.
func TestOnlyTheRecordersWritesAreExempt(t *testing.T) {
	g := NewWithT(t)
	flow := adminClients(t).FlowcontrolV1()
	schema, err := flow.FlowSchemas().Get(t.Context(), "trailkeeper-recorder", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	exempt, err := flow.PriorityLevelConfigurations().Get(t.Context(), flowcontrolv1.PriorityLevelConfigurationNameExempt, metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	operator, err := env.ServiceAccountConfig(t.Context(), testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	g.Expect(err).NotTo(HaveOccurred())

	g.Eventually(t.Context(), func() http.Header {
		return answerTo(t, operator, http.MethodPost)
	}).WithTimeout(patience).Should(And(
		HaveKeyWithValue("X-Kubernetes-Pf-Flowschema-Uid", []string{string(schema.UID)}),
		HaveKeyWithValue("X-Kubernetes-Pf-Prioritylevel-Uid", []string{string(exempt.UID)}),
	))
	g.Expect(answerTo(t, operator, http.MethodGet)).To(And(
		HaveKey("X-Kubernetes-Pf-Flowschema-Uid"),
		Not(HaveKeyWithValue("X-Kubernetes-Pf-Flowschema-Uid", []string{string(schema.UID)})),
	))
}

// answerTo is the header of the answer to a request for AuditEvents. Its body is empty, so nothing is created.
func answerTo(t *testing.T, config *rest.Config, method string) http.Header {
	t.Helper()
	g := NewWithT(t)
	c, err := rest.HTTPClientFor(config)
	g.Expect(err).NotTo(HaveOccurred())
	url := config.Host + "/apis/audit.trailkeeper.dev/v1alpha1/namespaces/default/auditevents"
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	response, err := c.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	return response.Header
}

// expectRight waits until the authorizer has heard of all roles and answers as wanted.
func expectRight(t *testing.T, user string, asked right, want bool) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:   user,
		Groups: []string{"system:authenticated"},
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: asked.verb, Group: asked.group, Resource: asked.resource, Subresource: asked.subresource,
			Namespace: asked.namespace, Name: asked.name,
		},
	}}
	reviews := adminClients(t).AuthorizationV1().SubjectAccessReviews()
	NewWithT(t).Eventually(t.Context(), func(g Gomega) {
		answer, err := reviews.Create(t.Context(), review, metav1.CreateOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Status.Allowed).To(Equal(want), "%s: %+v", user, asked)
	}).WithTimeout(patience).Should(Succeed())
}

func adminClients(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	clients, err := kubernetes.NewForConfig(env.Admin())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return clients
}
