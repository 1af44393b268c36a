package node

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// One life of an installation. Each step needs what the one before it left.
func TestLifeOnANode(t *testing.T) {
	r := newRig(t)
	g := NewWithT(t)
	r.makeNamespace()
	r.install()
	trail := r.makeTrail()
	g.Eventually(t.Context(), func() (bool, error) {
		return testenv.Probe(t.Context(), r.admin, trail, metav1.NamespaceDefault)
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue(), "a change is recorded through the Service")
	load := r.startLoad()
	for _, step := range []struct {
		name string
		do   func()
		// orderly steps refuse nobody. Without a word from a pod, some calls go to where it was.
		orderly bool
	}{
		{"roll", r.roll, true},
		{"drain", r.drain, true},
		{"rotate certificates", r.rotate, true},
		{"kill", r.kill, false},
		{"uninstall", func() { r.helm("uninstall", release, "--wait") }, true},
	} {
		began := time.Now()
		step.do()
		refused := load.takeRefused()
		t.Logf("%s: began at %s, %.0f s, %d changes refused", step.name, began.Format(time.StampMilli), time.Since(began).Seconds(), len(refused))
		if step.orderly {
			g.Expect(refused).To(BeEmpty(), step.name)
		}
		if step.name == "kill" {
			r.expectRecorded(trail, load.stop())
			load = r.startLoad()
		}
	}
	load.stop()
	r.expectRemoved()

	r.install() // Again: it goes on where it stopped, and says from when to when nobody recorded.
	g.Eventually(t.Context(), func() (bool, error) {
		return testenv.Probe(t.Context(), r.admin, trail, metav1.NamespaceDefault)
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	g.Eventually(t.Context(), func() bool { return r.hasGap(trail) }).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	r.expectDelivered(trail)
}

func (r *rig) makeNamespace() {
	r.t.Helper()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	NewWithT(r.t).Expect(client.IgnoreAlreadyExists(r.admin.Create(r.t.Context(), made))).To(Succeed())
	r.t.Cleanup(r.removeAll)
}

// makeTrail makes a trail that refuses what cannot be recorded, and waits until it is ready.
func (r *rig) makeTrail() *v1alpha1.AuditTrail {
	r.t.Helper()
	g, ctx := NewWithT(r.t), r.t.Context()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "node-credentials"}
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "node"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: logGroup,
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: meta.Name}}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelMetadata, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
				Namespaces: []string{metav1.NamespaceDefault},
			}},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
		},
	}
	for _, object := range []client.Object{
		&corev1.Secret{ObjectMeta: meta, StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey,
		}},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{meta.Name}, Verbs: []string{"get", "list", "watch"},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{
				Kind: rbacv1.ServiceAccountKind, Name: testenv.OperatorServiceAccount, Namespace: namespace,
			}},
		},
		trail,
	} {
		g.Expect(client.IgnoreAlreadyExists(r.admin.Create(ctx, object))).To(Succeed())
	}
	g.Expect(testenv.WaitReady(ctx, r.admin, trail, patience)).To(Succeed())
	return trail
}

// expectRemoved expects that the API server calls nobody, and that what must not be lost is there.
func (r *rig) expectRemoved() {
	r.t.Helper()
	g, ctx := NewWithT(r.t), r.t.Context()
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	err := r.admin.Get(ctx, client.ObjectKey{Name: controllers.WebhookConfigurationName}, configuration)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "got %v", err)
	g.Expect(r.pods()).To(BeEmpty())
	var events v1alpha1.AuditEventList
	g.Expect(r.admin.List(ctx, &events, client.InNamespace(namespace))).To(Succeed())
	g.Expect(events.Items).NotTo(BeEmpty(), "events stay")
}

// hasGap says whether the trail tells of a window in which nobody recorded.
func (r *rig) hasGap(trail *v1alpha1.AuditTrail) bool {
	var events v1alpha1.AuditEventList
	if err := r.admin.List(r.t.Context(), &events, client.InNamespace(trail.Namespace)); err != nil {
		return false
	}
	for i := range events.Items {
		if notice := events.Items[i].Spec.Notice; notice != nil && notice.Reason == v1alpha1.NoticeGap {
			return true
		}
	}
	return false
}

// removeAll leaves the cluster as it was found, whatever failed.
func (r *rig) removeAll() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), patience)
	defer cancel()
	g := NewWithT(r.t)
	g.Expect(client.IgnoreNotFound(r.admin.DeleteAllOf(ctx, &v1alpha1.AuditTrail{}, client.InNamespace(namespace)))).To(Succeed())
	if len(r.pods()) == 0 {
		r.letGo(ctx)
	}
	g.Eventually(ctx, func() ([]v1alpha1.AuditTrail, error) {
		var trails v1alpha1.AuditTrailList
		err := r.admin.List(ctx, &trails)
		return trails.Items, err
	}).WithPolling(polling).Should(BeEmpty(), "the operator lets deleted trails go when all of theirs is pushed")
	r.helm("uninstall", release, "--wait", "--ignore-not-found")
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	g.Expect(client.IgnoreNotFound(r.admin.Delete(ctx, made))).To(Succeed())
	g.Expect(r.admin.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace(metav1.NamespaceDefault))).To(Succeed())
}

// letGo takes the finalizers of trails away when a test failed while there was no operator to do so.
func (r *rig) letGo(ctx context.Context) {
	g := NewWithT(r.t)
	var trails v1alpha1.AuditTrailList
	g.Expect(r.admin.List(ctx, &trails)).To(Succeed())
	for i := range trails.Items {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
		g.Expect(client.IgnoreNotFound(r.admin.Patch(ctx, &trails.Items[i], patch))).To(Succeed())
	}
}

func newEviction(pod *corev1.Pod) *policyv1.Eviction {
	return &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
}
