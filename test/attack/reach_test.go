package attack

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func create(object client.Object) func(context.Context) error {
	return func(ctx context.Context) error { return mallory.Create(ctx, object) }
}

func remove(object client.Object) func(context.Context) error {
	return func(ctx context.Context) error { return mallory.Delete(ctx, object) }
}

func merge(object client.Object, body string) func(context.Context) error {
	return func(ctx context.Context) error {
		return mallory.Patch(ctx, object, client.RawPatch("application/merge-patch+json", []byte(body)))
	}
}

func list(objects client.ObjectList, options ...client.ListOption) func(context.Context) error {
	return func(ctx context.Context) error { return mallory.List(ctx, objects, options...) }
}

// configuration is an object of admission by its kind; the client needs no more to patch or delete it.
func configuration(kind, name string) client.Object {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: kind})
	object.SetName(name)
	return object
}

// TestOtherNamespacesAreOutOfReach: everything in one namespace is nothing elsewhere. RBAC refuses it, so no webhook is asked,
// and nothing is recorded.
func TestOtherNamespacesAreOutOfReach(t *testing.T) {
	g := NewWithT(t)
	tells := told(t, tenant)
	event := work(t, theirs, victim)
	unharmed(t, event)
	const denied = byRBAC
	lease := func(name string) client.Object { return &coordinationv1.Lease{ObjectMeta: named(own, name)} }
	secret := func(name string) client.Object { return &corev1.Secret{ObjectMeta: named(own, name)} }
	try(t, []attempt{
		{"list the victim's events", list(&v1alpha1.AuditEventList{}, client.InNamespace(victim)), denied, ""},
		{"list everybody's events", list(&v1alpha1.AuditEventList{}), denied, ""},
		{"list the tenant's events", list(&v1alpha1.AuditEventList{}, client.InNamespace(own)), denied, ""},
		{"list packed events", list(&v1alpha1.AuditEventChunkList{}, client.InNamespace(own)), denied, ""},
		{"read an event of the victim", func(ctx context.Context) error {
			return mallory.Get(ctx, client.ObjectKeyFromObject(event), &v1alpha1.AuditEvent{})
		}, denied, ""},
		{"delete an event of the victim", remove(event.DeepCopy()), denied, ""},
		{"write a note for the victim", merge(event.DeepCopy(), `{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"mine"}}}`), denied, ""},
		{"suspend the victim's trail", merge(theirs.DeepCopy(), `{"spec":{"suspend":true}}`), denied, ""},
		{"delete the tenant's trail", remove(tenant.DeepCopy()), denied, ""},
		{"plant a trail that sees the cluster", create(clusterOnly(own, "planted")), denied, ""},
		{"plant a trail at the victim's", create(clusterOnly(victim, "planted")), denied, ""},
		{"forge a chunk", create(&v1alpha1.AuditEventChunk{ObjectMeta: named(own, "forged")}), denied, ""},
		{"make the leader's Lease first", create(lease("trailkeeper-leader")), denied, ""},
		{"make a shard's Lease first", create(lease("trailkeeper-delivery-0")), denied, ""},
		{"take the leader's Lease", merge(lease("trailkeeper-leader"), `{"spec":{"holderIdentity":"mallory"}}`), denied, ""},
		{"wipe the signs of life", merge(lease("trailkeeper-recorders"), `{"metadata":{"annotations":null}}`), denied, ""},
		{"make the webhook's authority first", create(secret("trailkeeper-webhook-ca")), denied, ""},
		{"make the ledger's key first", create(secret("trailkeeper-ledger-key")), denied, ""},
		{"read the ledger's key", func(ctx context.Context) error {
			return mallory.Get(ctx, client.ObjectKey{Namespace: own, Name: "trailkeeper-ledger-key"}, &corev1.Secret{})
		}, denied, ""},
		{"grant a role", merge(&corev1.ConfigMap{ObjectMeta: named(own, "trailkeeper-role-grants")}, `{"data":{"shared":"*"}}`), denied, ""},
		{"answer in the recorder's place", create(&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: own, Name: "mine", Labels: map[string]string{discoveryv1.LabelServiceName: "trailkeeper-webhook"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}), denied, ""},
		{"delete the webhook configuration", remove(configuration("ValidatingWebhookConfiguration", "trailkeeper-recorder")), denied, ""},
		{"delete a policy", remove(configuration("ValidatingAdmissionPolicy", "trailkeeper-auditevents")), denied, ""},
		{"unbind a policy", remove(configuration("ValidatingAdmissionPolicyBinding", "trailkeeper-auditevents")), denied, ""},
		{"shadow the webhook", create(configuration("MutatingWebhookConfiguration", "mine")), denied, ""},
		{"widen the operator's rights", create(&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{
			Name: "mine", Labels: map[string]string{"audit.trailkeeper.dev/aggregate-to-outcome-reader": "true"},
		}}), denied, ""},
		{"bind the operator's rights", create(&rbacv1.RoleBinding{
			ObjectMeta: named(own, "mine"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "trailkeeper-manager"},
		}), denied, ""},
		{"get a token of the operator", func(ctx context.Context) error {
			account := &corev1.ServiceAccount{ObjectMeta: named(own, "trailkeeper-manager")}
			return mallory.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{})
		}, denied, ""},
	})
	g.Expect(tells()).To(BeEmpty(), "RBAC refuses before any webhook is asked")
}

// TestNobodyIsTheOperatorByName: service accounts of the same name, and who may impersonate service accounts of one namespace,
// are somebody else.
func TestNobodyIsTheOperatorByName(t *testing.T) {
	g := NewWithT(t)
	event := work(t, project, shared)
	unharmed(t, event)
	account := &corev1.ServiceAccount{ObjectMeta: named(shared, "trailkeeper-manager")}
	g.Expect(mallory.Create(t.Context(), account)).To(Succeed())
	binding := &rbacv1.RoleBinding{
		ObjectMeta: named(shared, "namesake"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: attacker},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: shared, Name: account.Name}},
	}
	g.Expect(mallory.Create(t.Context(), binding)).To(Succeed())
	config, err := env.ServiceAccountConfig(t.Context(), shared, account.Name)
	g.Expect(err).NotTo(HaveOccurred())
	namesake, err := clientOf(config)
	g.Expect(err).NotTo(HaveOccurred())
	as := func(user string) client.Client {
		impersonating, err := env.AddUser(attacker)
		g.Expect(err).NotTo(HaveOccurred())
		impersonating.Impersonate.UserName = user
		c, err := clientOf(impersonating)
		g.Expect(err).NotTo(HaveOccurred())
		return c
	}
	operator := as("system:serviceaccount:" + own + ":trailkeeper-manager")
	controller := as("system:serviceaccount:kube-system:namespace-controller")
	impersonated := as("system:serviceaccount:" + shared + ":trailkeeper-manager")
	const deleted = "AuditEvents are deleted by Trailkeeper only"
	try(t, []attempt{
		{"a namesake deletes", func(ctx context.Context) error { return namesake.Delete(ctx, event.DeepCopy()) }, deleted, ""},
		{"an impersonated namesake deletes", func(ctx context.Context) error { return impersonated.Delete(ctx, event.DeepCopy()) }, deleted, ""},
		{"the operator is impersonated", func(ctx context.Context) error { return operator.Delete(ctx, event.DeepCopy()) }, "cannot impersonate", ""},
		{"a controller is impersonated", func(ctx context.Context) error { return controller.Delete(ctx, event.DeepCopy()) }, "cannot impersonate", ""},
	})
}
