package trails

import (
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	secretName  = "aws"
	accountName = "pusher"
	trailName   = "changes"
)

func newNamespace(t *testing.T, name string) string {
	t.Helper()
	NewWithT(t).Expect(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	return name
}

// newTrail is a trail that records the ConfigMaps of a namespace, and refuses what it cannot record.
func newTrail(namespace string, auth v1alpha1.Auth) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: trailName},
		Spec: v1alpha1.AuditTrailSpec{
			Type:       v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{Region: region, LogGroupName: "/audit/" + namespace, Auth: auth},
			Recording:  v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps", "secrets"}}},
			}},
		},
	}
}

func byKeys() v1alpha1.Auth {
	return v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secretName}}}
}

// byRole has a role that trusts the operator with the external id of the namespace alone.
func byRole(namespace string) v1alpha1.Auth {
	aws.PutRole(cloudsim.Role{Name: namespace, Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
		Principals: []string{"arn:aws:iam::" + accountID + ":user/" + own.Name}, ExternalID: clusterID + "/" + namespace,
	}})
	return v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: roleARN(namespace)}}
}

// byToken has a role that trusts the namespace's service account.
func byToken(namespace string) v1alpha1.Auth {
	aws.PutRole(cloudsim.Role{Name: namespace, Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
		Subjects: []string{"system:serviceaccount:" + namespace + ":" + accountName},
	}})
	return v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: roleARN(namespace), ServiceAccountName: accountName}}
}

func roleARN(name string) string { return "arn:aws:iam::" + accountID + ":role/" + name }

// newUser makes a user at AWS, or replaces its key: what it had before is unknown from then on.
func newUser(name string, generation int) cloudsim.User {
	user := cloudsim.User{
		Name: name, AccessKeyID: fmt.Sprintf("AKIA%.10s%06d", name+"0000000000", generation),
		SecretAccessKey: fmt.Sprintf("secret/access+key/of/%s/%06d", name, generation), Policy: cloudsim.Allow("logs:*"),
	}
	aws.PutUser(user)
	return user
}

// keys are what a Secret has for a user.
func keys(user cloudsim.User) map[string]string {
	return map[string]string{"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey}
}

// putSecret makes or replaces the namespace's Secret.
func putSecret(t *testing.T, namespace string, data map[string]string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName}, StringData: data}
	err := admin.Create(t.Context(), secret)
	if client.IgnoreAlreadyExists(err) == nil && err != nil {
		secret.ResourceVersion = ""
		err = admin.Update(t.Context(), secret)
	}
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// allow lets the operator do something with one object of the namespace, as its owner would.
func allow(t *testing.T, namespace, resource, name string, verbs ...string) {
	t.Helper()
	rights := testenv.Rights(namespace, "trailkeeper-"+name, testenv.OperatorSubject(), testenv.Core(resource, []string{name}, verbs...))
	NewWithT(t).Expect(testenv.Create(t.Context(), admin, rights...)).To(Succeed())
}

// grant says which roles a namespace may use through the operator.
func grant(t *testing.T, namespace, pattern string) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"data":{%q:%q}}`, namespace, pattern)
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "trailkeeper-role-grants"}}
	NewWithT(t).Expect(admin.Patch(t.Context(), grants, client.RawPatch("application/merge-patch+json", patch))).To(Succeed())
}

// expect waits until a condition of the trail has a status and a reason.
func expect(t *testing.T, trail *v1alpha1.AuditTrail, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(meta.FindStatusCondition(trail.Status.Conditions, kind)).To(And(Not(BeNil()),
			HaveField("Status", status), HaveField("Reason", reason)), "%+v", trail.Status.Conditions)
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}

func expectReady(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	expect(t, trail, v1alpha1.ReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// startTrail creates a trail, and returns when it is Ready and the API server sends it what it asks for.
func startTrail(t *testing.T, trail *v1alpha1.AuditTrail, namespace string) {
	t.Helper()
	g := NewWithT(t)
	// The admission policy hears of a grant a moment later.
	g.Eventually(func() error { return admin.Create(t.Context(), trail) }).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	expectReady(t, trail)
	g.Eventually(func() (bool, error) { return testenv.Probe(t.Context(), admin, trail, namespace) }).
		WithTimeout(patience).WithPolling(polling).Should(BeTrue())
}

// change makes a ConfigMap whose name begins so, and returns its name.
func change(t *testing.T, namespace, prefix string) string {
	t.Helper()
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: prefix}}
	NewWithT(t).Expect(admin.Create(t.Context(), made)).To(Succeed())
	return made.Name
}

// delivered are the names of the objects in the trail's records. No record is missing or changed between them.
func delivered(g Gomega, trail *v1alpha1.AuditTrail) (names map[string]bool, repeated int) {
	var links []ledger.Link
	for _, event := range aws.Events(region, trail.Spec.CloudWatch.LogGroupName, trail.Status.LogStreamName) {
		link, err := ledger.ReadLink([]byte(event.Message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	distinct, repeated, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
	g.Expect(err).NotTo(HaveOccurred())
	names = map[string]bool{}
	for i := range distinct {
		names[objectOf(g, &distinct[i])] = true
	}
	return names, repeated
}

// expectDelivered makes a change and waits until its record arrives.
func expectDelivered(t *testing.T, trail *v1alpha1.AuditTrail, namespace string) {
	t.Helper()
	name := change(t, namespace, "delivered-")
	NewWithT(t).Eventually(func(g Gomega) {
		names, _ := delivered(g, trail)
		g.Expect(names).To(HaveKey(name))
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}
