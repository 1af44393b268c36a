package rights

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	patience = 2 * time.Minute
	polling  = 200 * time.Millisecond
	project  = "shop"
	region   = "eu-west-1"
	roleARN  = "arn:aws:iam::" + cloudsim.DefaultAccountID + ":role/shop"
)

var identity = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-own/secret+access-key-0001",
	Policy: cloudsim.Allow("logs:*", "sts:AssumeRole"),
}

// world is a control plane with its audit log, an AWS, two replicas of the operator, and trails with an identity of each kind.
type world struct {
	t                       *testing.T
	env                     *testenv.Env
	aws                     *cloudsim.Simulator
	admin                   client.Client
	operator                *testenv.Operator
	ambient, byRole, byKeys *v1alpha1.AuditTrail
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, aws: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{identity}})}
	w.aws.PutRole(cloudsim.Role{Name: project, Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
		Principals: []string{"arn:aws:iam::" + cloudsim.DefaultAccountID + ":user/" + identity.Name}, ExternalID: "rights/" + project,
	}})
	server := httptest.NewServer(w.aws)
	t.Cleanup(server.Close)
	w.env = testenv.New(t, testenv.Options{ControllerManager: true, AuditLog: true})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	var err error
	w.admin, err = testenv.NewClient(w.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = w.env.StartOperator(t.Context(), testenv.OperatorOptions{
		Replicas: 2,
		Env:      testenv.AWSEnv(server.URL, identity.AccessKeyID, identity.SecretAccessKey),
		Args: []string{
			"--cluster-id=rights", "--leader-elect-lease-duration=6s", "--delivery-shards=16", "--backlog-soft-limit=100",
			"--webhook-authority-lifetime=90s", "--webhook-certificate-lifetime=20s", "--drain-timeout=5s",
		},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(w.operator.Close)
	w.makeTrails()
	return w
}

func (w *world) makeTrails() {
	w.t.Helper()
	g, ctx := NewWithT(w.t), w.t.Context()
	g.Expect(w.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: project}})).To(Succeed())
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "trailkeeper-role-grants"}}
	g.Expect(w.admin.Patch(ctx, grants, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"`+project+`":"`+roleARN+`"}}`)))).To(Succeed())
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": identity.AccessKeyID, "AWS_SECRET_ACCESS_KEY": identity.SecretAccessKey},
	}
	rights := testenv.Rights(project, "aws", testenv.OperatorSubject(), testenv.Core("secrets", []string{"aws"}, "get", "list", "watch"))
	g.Expect(testenv.Create(ctx, w.admin, append(rights, secret)...)).To(Succeed())

	w.ambient = pushing(testenv.OperatorNamespace, "ambient", v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}})
	w.ambient.Spec.Rules[0].Namespaces = []string{project}
	w.ambient.Spec.Retention.MaxEvents = new(int32(100))
	w.byRole = pushing(project, "by-role", v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: roleARN}})
	w.byKeys = pushing(project, "by-keys", v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}})
	for _, trail := range []*v1alpha1.AuditTrail{w.ambient, w.byRole, w.byKeys} {
		// The admission policy hears of the grant a moment later.
		g.Eventually(func() error { return w.admin.Create(ctx, trail) }).WithTimeout(patience).WithPolling(polling).Should(Succeed())
		g.Expect(testenv.WaitReady(ctx, w.admin, trail, patience)).To(Succeed())
		g.Eventually(func() (bool, error) {
			return testenv.Probe(ctx, w.admin, trail, project)
		}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	}
}

func pushing(namespace, name string, auth v1alpha1.Auth) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type:       v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{Region: region, LogGroupName: "/audit/rights", Auth: auth},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps", "secrets"}}},
			}},
		},
	}
}

// change makes ConfigMaps.
func (w *world) change(prefix string, count int) {
	w.t.Helper()
	for i := range count {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: fmt.Sprintf("%s-%d", prefix, i)}}
		NewWithT(w.t).Expect(w.admin.Create(w.t.Context(), object)).To(Succeed())
	}
}
