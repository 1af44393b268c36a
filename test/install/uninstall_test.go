package install

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// finalizer keeps a pod, as a kubelet does while its containers stop.
const finalizer = "trailkeeper.dev/test"

// The operator is uninstalled as the chart's hook does it, while a trail that refuses what cannot be recorded wants every
// change, and AWS is away. Nobody may be refused, and the API server must be left alone afterwards.
func TestUninstallingRefusesNothing(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	makeNamespace(t)
	install(t)
	options, err := env.NewManager(ctx, "install")
	g.Expect(err).NotTo(HaveOccurred())
	options.Env = []string{"AWS_ENDPOINT_URL=http://127.0.0.1:1"} // Nobody listens there.
	operator, err := env.StartManager(ctx, options)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(operator.Kill)
	trail := makeTrail(t)
	pod := holdPod(t)
	hook := hookKubeconfig(t)
	stop := change(t)

	done := make(chan error, 1)
	go func() {
		_, err := command(t, nil, options.Path, "uninstall", "--kubeconfig="+hook, "--namespace="+namespace)
		done <- err
	}()
	g.Eventually(ctx, func() *metav1.Time {
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
		return pod.DeletionTimestamp
	}).WithTimeout(patience).WithPolling(polling).ShouldNot(BeNil())
	operator.Stop() // What a kubelet does now.
	g.Expect(done).NotTo(Receive(), "a pod is still there")
	release := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	g.Expect(admin.Patch(ctx, pod, release)).To(Succeed())
	g.Eventually(done).WithTimeout(patience).Should(Receive(BeNil()))

	g.Expect(stop()).To(BeEmpty(), "nothing is refused at any time")
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	err = admin.Get(ctx, client.ObjectKey{Name: controllers.WebhookConfigurationName}, configuration)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "got %v", err)
	attempts := &admissionregistrationv1.MutatingWebhookConfiguration{}
	err = admin.Get(ctx, client.ObjectKey{Name: controllers.WebhookConfigurationName}, attempts)
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "got %v", err)
	uninstallRelease(t)
	g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(trail), trail)).To(Succeed(), "trails stay")
	var events v1alpha1.AuditEventList
	g.Expect(admin.List(ctx, &events, client.InNamespace(namespace))).To(Succeed())
	g.Expect(events.Items).NotTo(BeEmpty(), "events stay")

	// Again, where there is nothing any more.
	g.Expect(admin.Delete(ctx, trail)).To(Succeed())
	g.Expect(admin.Patch(ctx, trail, release)).To(Succeed())
	_, err = command(t, nil, options.Path, "uninstall", "--kubeconfig="+adminKubeconfig)
	g.Expect(err).NotTo(HaveOccurred())
}

// makeTrail makes a trail that refuses what cannot be recorded, and waits until it records.
func makeTrail(t *testing.T) *v1alpha1.AuditTrail {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "strict"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: "eu-west-1", LogGroupName: "/audit/away", Auth: v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelMetadata, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
		},
	}
	g.Expect(admin.Create(ctx, trail)).To(Succeed())
	g.Eventually(ctx, func() (bool, error) {
		return testenv.Probe(ctx, admin, trail, metav1.NamespaceDefault)
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	return trail
}

// holdPod keeps one of the Deployment's pods, which nobody runs, until its finalizer is removed.
func holdPod(t *testing.T) *corev1.Pod {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	var pods corev1.PodList
	g.Eventually(ctx, func() ([]corev1.Pod, error) {
		err := admin.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{"app.kubernetes.io/component": "manager"})
		return pods.Items, err
	}).WithTimeout(patience).WithPolling(polling).Should(HaveLen(2))
	hold := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"finalizers":[%q]}}`, finalizer))
	g.Expect(admin.Patch(ctx, &pods.Items[0], hold)).To(Succeed())
	return &pods.Items[0]
}

// hookKubeconfig is who the chart's hook runs as, with the rights that the chart gives it.
func hookKubeconfig(t *testing.T) string {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	var objects []*unstructured.Unstructured
	for _, object := range render(t) {
		if object.GetAnnotations()[hook] != "" && object.GetKind() != "Job" {
			objects = append(objects, object)
		}
	}
	g.Expect(objects).To(HaveLen(5))
	g.Expect(env.Apply(ctx, objects...)).To(Succeed())
	t.Cleanup(func() {
		for _, object := range objects {
			g.Expect(admin.Delete(context.WithoutCancel(ctx), object)).To(Succeed())
		}
	})
	config, err := env.ServiceAccountConfig(ctx, namespace, "trailkeeper-uninstall")
	g.Expect(err).NotTo(HaveOccurred())
	account, err := testenv.NewClient(config)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(ctx, func() (bool, error) { // The last of its rights is there.
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations",
				Verb: "delete", Name: controllers.WebhookConfigurationName,
			},
		}}
		err := account.Create(ctx, review)
		return review.Status.Allowed, err
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	path, err := env.WriteKubeconfig(config, "uninstall")
	g.Expect(err).NotTo(HaveOccurred())
	return filepath.Clean(path)
}

// change makes changes that the trail wants, one after the other, until stop is called, which returns what was refused.
func change(t *testing.T) (stop func() (refused []error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var (
		group   sync.WaitGroup
		refused []error
		made    int
	)
	group.Go(func() {
		for ctx.Err() == nil {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: "load-"}}
			call, end := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			if err := admin.Create(call, object); err != nil {
				refused = append(refused, err)
			}
			end()
			made++
		}
	})
	return func() []error {
		cancel()
		group.Wait()
		NewWithT(t).Expect(made).To(BeNumerically(">", 10))
		return refused
	}
}
