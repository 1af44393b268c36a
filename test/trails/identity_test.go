package trails

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func objectOf(g Gomega, link *ledger.Link) string {
	var event struct{ Spec v1alpha1.AuditEventSpec }
	g.Expect(json.Unmarshal(link.Event, &event)).To(Succeed())
	return event.Spec.Resource.Name
}

const (
	credentialsValid = v1alpha1.CredentialsValidCondition
	isFalse          = metav1.ConditionFalse
)

// TestASecretIsFollowed: nobody waits a quarter of an hour for a Secret to be looked at.
func TestASecretIsFollowed(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t, "followed-secret")
	allow(t, namespace, "secrets", secretName, "get", "list", "watch")
	trail := newTrail(namespace, byKeys())
	// What is delivered would tell of bad keys too, and the Secret's own changes would be.
	trail.Spec.Rules[0].Resources[0].Resources = []string{"configmaps"}
	g.Expect(admin.Create(t.Context(), trail)).To(Succeed())
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonSecretNotFound)

	user := newUser(namespace, 1)
	putSecret(t, namespace, keys(user))
	expectReady(t, trail)
	wrong := user
	wrong.SecretAccessKey = "not-the-secret-of-this-user"
	putSecret(t, namespace, keys(wrong))
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonSignatureMismatch)
	putSecret(t, namespace, keys(user))
	expectReady(t, trail)
	g.Expect(admin.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName}})).To(Succeed())
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonSecretNotFound)
	putSecret(t, namespace, keys(user))
	expectReady(t, trail)
}

// TestAServiceAccountIsFollowed: one that is deleted does not live on in the credentials that it gave.
func TestAServiceAccountIsFollowed(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t, "followed-account")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: accountName}}
	g.Expect(admin.Create(t.Context(), account)).To(Succeed())
	allow(t, namespace, "serviceaccounts/token", accountName, "create")
	trail := newTrail(namespace, byToken(namespace))
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)

	g.Expect(admin.Delete(t.Context(), account)).To(Succeed())
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonServiceAccountNotFound)
	account.ResourceVersion, account.UID = "", ""
	g.Expect(admin.Create(t.Context(), account)).To(Succeed())
	expectReady(t, trail)
	expectDelivered(t, trail, namespace)
}

// TestAGrantIsFollowed: apply says whom to ask, and both granting and withdrawing act at once.
func TestAGrantIsFollowed(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t, "followed-grant")
	trail := newTrail(namespace, byRole(namespace))
	g.Eventually(func() error { return admin.Create(t.Context(), trail.DeepCopy(), client.DryRunAll) }).WithTimeout(patience).
		Should(MatchError(ContainSubstring("add it under key " + namespace + " of ConfigMap trailkeeper-system/trailkeeper-role-grants")))

	grant(t, namespace, roleARN(namespace))
	g.Eventually(func() error { return admin.Create(t.Context(), trail.DeepCopy(), client.DryRunAll) }).WithTimeout(patience).Should(Succeed())
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)
	g.Expect(trail.Status.ExternalID).To(Equal(clusterID + "/" + namespace))

	grant(t, namespace, "")
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonRoleNotGranted)
	g.Expect(trail.Status.ExternalID).To(Equal(clusterID + "/" + namespace))
	held := change(t, namespace, "held-")
	expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonRoleNotGranted)
	names, _ := delivered(g, trail)
	g.Expect(names).NotTo(HaveKey(held))

	grant(t, namespace, "arn:aws:iam::"+accountID+":role/followed-*")
	expectReady(t, trail)
	expectDelivered(t, trail, namespace)
	names, _ = delivered(g, trail)
	g.Expect(names).To(HaveKey(held))
}

// TestKeysOfAnotherAccountAreHeld until the trail says that it accepts that account; what was recorded meanwhile goes there.
func TestKeysOfAnotherAccountAreHeld(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t, "accounts")
	allow(t, namespace, "secrets", secretName, "get", "list", "watch")
	putSecret(t, namespace, keys(newUser(namespace, 1)))
	trail := newTrail(namespace, byKeys())
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)

	const otherAccount = "222222222222"
	other := cloudsim.User{
		AccountID: otherAccount, Name: "other", AccessKeyID: "AKIAOTHER00000000001", SecretAccessKey: "secret/of/another/account",
		Policy: cloudsim.Allow("logs:*"),
	}
	aws.PutUser(other)
	putSecret(t, namespace, keys(other))
	expect(t, trail, credentialsValid, isFalse, v1alpha1.ReasonAccountChanged)
	held := change(t, namespace, "held-")
	expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonAccountChanged)
	g.Expect(trail.Status.CallerIdentity.AccountID).To(Equal(accountID), "it is the account that was accepted last")
	before := trail.Status.Delivery.Delivered

	patch := client.MergeFrom(trail.DeepCopy())
	trail.Annotations = map[string]string{v1alpha1.AcceptAccountAnnotation: otherAccount}
	g.Expect(admin.Patch(t.Context(), trail, patch)).To(Succeed())
	expectReady(t, trail)
	g.Expect(trail.Status.CallerIdentity.AccountID).To(Equal(otherAccount))
	g.Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(trail.Status.Delivery.Delivered).To(BeNumerically(">", before))
		g.Expect(trail.Status.Delivery.Pending).To(BeZero())
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	names, _ := delivered(g, trail)
	g.Expect(names).NotTo(HaveKey(held), "it went to the other account")
}

// TestTheOperatorsOwnIdentity is for trails of its own namespace.
func TestTheOperatorsOwnIdentity(t *testing.T) {
	namespace := newNamespace(t, "ambient")
	trail := newTrail(testenv.OperatorNamespace, v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}})
	trail.Spec.Rules[0].Namespaces = []string{namespace}
	startTrail(t, trail, namespace)
	NewWithT(t).Expect(trail.Status.CallerIdentity.ARN).To(Equal("arn:aws:iam::" + accountID + ":user/" + own.Name))
	expectDelivered(t, trail, namespace)
	trail.Namespace = namespace
	trail.ResourceVersion, trail.UID = "", ""
	NewWithT(t).Expect(admin.Create(t.Context(), trail)).To(MatchError(ContainSubstring("may use the operator's own identity")))
}
