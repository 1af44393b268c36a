package node

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// install installs the image under test and waits until all replicas are ready.
func (r *rig) install() {
	r.t.Helper()
	image := os.Getenv("TRAILKEEPER_E2E_IMAGE")
	at := strings.LastIndex(image, ":")
	r.helm("install", release, "charts/trailkeeper", "--wait", "--timeout=180s", "--take-ownership",
		"--set=image.repository="+image[:at], "--set=image.tag="+image[at+1:], "--set=image.pullPolicy=Never",
		"--set=clusterID="+clusterID, "--set=extraEnv[0].name=AWS_ENDPOINT_URL", "--set=extraEnv[0].value="+r.awsURL)
	r.awaitReplicas()
}

// awaitReplicas waits until two replicas are ready and no other pod of the operator is left.
func (r *rig) awaitReplicas() {
	r.t.Helper()
	NewWithT(r.t).Eventually(r.t.Context(), func(g Gomega) {
		var deployment appsv1.Deployment
		g.Expect(r.admin.Get(r.t.Context(), client.ObjectKey{Namespace: namespace, Name: "trailkeeper-manager"}, &deployment)).To(Succeed())
		g.Expect(deployment.Status.ObservedGeneration).To(Equal(deployment.Generation))
		g.Expect(deployment.Status.UpdatedReplicas).To(BeEquivalentTo(2))
		g.Expect(deployment.Status.AvailableReplicas).To(BeEquivalentTo(2))
		pods := r.pods()
		g.Expect(pods).To(HaveLen(2))
		for i := range pods { // The Deployment's status may be from before a pod was killed.
			g.Expect(ready(&pods[i])).To(BeTrue(), pods[i].Name)
		}
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}

// ready says whether a pod answers and is to stay.
func ready(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func (r *rig) pods() []corev1.Pod {
	r.t.Helper()
	var pods corev1.PodList
	NewWithT(r.t).Expect(r.admin.List(context.WithoutCancel(r.t.Context()), &pods, client.InNamespace(namespace),
		client.MatchingLabels{"app.kubernetes.io/component": "manager"})).To(Succeed())
	return pods.Items
}

// roll replaces the replicas one by one, as an upgrade does.
func (r *rig) roll() {
	r.t.Helper()
	restart := client.RawPatch("application/merge-patch+json",
		[]byte(`{"spec":{"template":{"metadata":{"annotations":{"test.trailkeeper.dev/roll":"1"}}}}}`))
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "trailkeeper-manager"}}
	NewWithT(r.t).Expect(r.admin.Patch(r.t.Context(), deployment, restart)).To(Succeed())
	r.awaitReplicas()
}

// kill ends a pod without a word to it.
func (r *rig) kill() {
	r.t.Helper()
	g := NewWithT(r.t)
	victim := r.pods()[0]
	g.Expect(r.admin.Delete(r.t.Context(), &victim, client.GracePeriodSeconds(0))).To(Succeed())
	g.Eventually(r.t.Context(), func() bool {
		return apierrors.IsNotFound(r.admin.Get(r.t.Context(), client.ObjectKeyFromObject(&victim), &corev1.Pod{}))
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	r.awaitReplicas()
}

// drain cordons a replica's node and evicts what is on it. One replica goes, and the budget keeps the other until there are two
// again: on a cluster with one node, only once that takes pods again.
func (r *rig) drain() {
	r.t.Helper()
	g := NewWithT(r.t)
	pods := r.pods()
	r.cordon(pods[0].Spec.NodeName, true)
	defer r.cordon(pods[0].Spec.NodeName, false)
	g.Expect(r.evictOne(&pods[0])).To(Succeed())
	g.Expect(apierrors.IsTooManyRequests(r.evictOne(&pods[1]))).To(BeTrue(), "the budget keeps one replica")
	g.Eventually(r.t.Context(), func() bool {
		return apierrors.IsNotFound(r.admin.Get(r.t.Context(), client.ObjectKeyFromObject(&pods[0]), &corev1.Pod{}))
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
	r.cordon(pods[0].Spec.NodeName, false)
	r.awaitReplicas()
}

// cordon says whether a node takes new pods.
func (r *rig) cordon(name string, unschedulable bool) {
	r.t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable))
	NewWithT(r.t).Expect(r.admin.Patch(context.WithoutCancel(r.t.Context()), node, patch)).To(Succeed())
}

func (r *rig) evictOne(pod *corev1.Pod) error {
	return r.admin.SubResource("eviction").Create(r.t.Context(), pod, newEviction(pod))
}
