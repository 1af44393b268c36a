package install

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// makeNamespace makes the operator's namespace, which enforces the Pod Security Standard, and leaves it.
func makeNamespace(t *testing.T) {
	t.Helper()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	NewWithT(t).Expect(client.IgnoreAlreadyExists(admin.Create(t.Context(), made))).To(Succeed())
}

func TestTheAPIServerAcceptsTheChart(t *testing.T) {
	g := NewWithT(t)
	makeNamespace(t)
	text, err := helm(t, "template", release, "charts/trailkeeper")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = kubectl(t, text, "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-")
	g.Expect(err).NotTo(HaveOccurred())
}

// A Deployment is accepted with any pods; it is the pods themselves that are refused.
func TestPodsRunUnderTheRestrictedStandard(t *testing.T) {
	g := NewWithT(t)
	makeNamespace(t)
	objects := render(t)
	for kind, name := range map[string]string{"Deployment": "trailkeeper-manager", "Job": "trailkeeper-uninstall"} {
		pod := podOf(t, find(t, objects, kind, name))
		g.Expect(admin.Create(t.Context(), pod, client.DryRunAll)).To(Succeed(), "the pod of %s", kind)
		pod.ResourceVersion = ""
		pod.Spec.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(true)
		err := admin.Create(t.Context(), pod, client.DryRunAll)
		g.Expect(err).To(MatchError(ContainSubstring(`violates PodSecurity "restricted`)), "the standard is not enforced")
	}
}

// podOf is a pod as its controller would make it, with the namespace's own service account.
func podOf(t *testing.T, object *unstructured.Unstructured) *corev1.Pod {
	t.Helper()
	template, _, err := unstructured.NestedMap(object.Object, "spec", "template")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	pod := &corev1.Pod{}
	NewWithT(t).Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(template, pod)).To(Succeed())
	pod.Namespace, pod.GenerateName = namespace, "test-"
	pod.Spec.ServiceAccountName = "default"
	pod.Spec.PriorityClassName = "" // Who may be critical is up to a quota, which is another test's.
	return pod
}

func TestInstallUpgradeUninstall(t *testing.T) {
	g := NewWithT(t)
	makeNamespace(t)
	install(t)
	g.Eventually(t.Context(), func(g Gomega) {
		var pods corev1.PodList
		g.Expect(admin.List(t.Context(), &pods, client.InNamespace(namespace))).To(Succeed())
		g.Expect(pods.Items).To(HaveLen(2), "the quota lets two critical pods in")
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "trailkeeper-role-grants"}}
	g.Expect(admin.Patch(t.Context(), grants, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"shop":"*"}}`)))).To(Succeed())
	crd := getCRD(t)
	g.Expect(unstructured.SetNestedField(crd.Object, "of the last version", "metadata", "annotations", "controller-gen.kubebuilder.io/version")).To(Succeed())
	unstructured.RemoveNestedField(crd.Object, "spec", "names", "shortNames")
	g.Expect(admin.Update(t.Context(), crd)).To(Succeed())

	_, err := helm(t, "upgrade", release, "charts/trailkeeper", "--set=replicas=3", "--force-conflicts")
	g.Expect(err).NotTo(HaveOccurred())

	var deployment appsv1.Deployment
	g.Expect(admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "trailkeeper-manager"}, &deployment)).To(Succeed())
	g.Expect(*deployment.Spec.Replicas).To(BeEquivalentTo(3))
	g.Expect(getCRD(t).GetAnnotations()["controller-gen.kubebuilder.io/version"]).To(HavePrefix("v"), "upgrading upgrades the CRDs")
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(grants), grants)).To(Succeed())
	g.Expect(grants.Data).To(HaveKeyWithValue("shop", "*"), "grants that were made by hand survive an upgrade")

	_, err = helm(t, "uninstall", release, "--no-hooks")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(apierrors.IsNotFound(admin.Get(t.Context(), client.ObjectKeyFromObject(&deployment), &deployment))).To(BeTrue())
	g.Expect(getCRD(t).GetDeletionTimestamp()).To(BeNil(), "CRDs stay")
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(grants), grants)).To(Succeed(), "grants stay")

	install(t) // What stayed is taken over.
	uninstallRelease(t)
}

// install installs the chart, without waiting: there is no node.
func install(t *testing.T) {
	t.Helper()
	_, err := helm(t, "install", release, "charts/trailkeeper", "--take-ownership")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func uninstallRelease(t *testing.T) {
	t.Helper()
	_, err := helm(t, "uninstall", release, "--no-hooks")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func getCRD(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	name := client.ObjectKey{Name: "audittrails." + v1alpha1.GroupVersion.Group}
	NewWithT(t).Expect(admin.Get(t.Context(), name, crd)).To(Succeed())
	return crd
}
