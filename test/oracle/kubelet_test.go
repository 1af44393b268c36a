package oracle

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// node is where pods run that say so.
const node = "node-1"

// kubelet plays the node's part: it says that pods run, and ends those whose deletion was asked for.
type kubelet struct {
	clients *kubernetes.Clientset
	// reported is when it said last that the node is ready.
	reported time.Time
	// until is when a pod may be ended, by uid: a moment after its deletion was seen.
	until map[string]time.Time
}

// startKubelet runs until it is stopped, or the test ends.
func (w *world) startKubelet() {
	w.t.Helper()
	config, err := w.env.AddUser("system:node:"+node, "system:nodes")
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	k := &kubelet{clients: clients, until: map[string]time.Time{}}
	NewWithT(w.t).Expect(k.report(w.t.Context())).To(Succeed())
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait.UntilWithContext(ctx, k.sync, 200*time.Millisecond)
	}()
	w.stopKubelet = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(w.stopKubelet)
}

// reportEvery is how often the node says that it is ready; the node controller gives it up after 50 s.
const reportEvery = 10 * time.Second

// report says that the node is ready and has room for pods.
func (k *kubelet) report(ctx context.Context) error {
	room := corev1.ResourceList{"cpu": resource.MustParse("64"), "memory": resource.MustParse("64Gi"), "pods": resource.MustParse("500")}
	body, err := json.Marshal(map[string]any{"status": corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now()},
	}}})
	if err != nil {
		return err
	}
	k.reported = time.Now()
	_, err = k.clients.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

// sync does what is due. What fails is done the next time.
func (k *kubelet) sync(ctx context.Context) {
	if time.Since(k.reported) > reportEvery {
		_ = k.report(ctx)
	}
	pods, err := k.clients.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		until, known := k.until[string(pod.UID)]
		switch {
		case pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodRunning:
			pod.Status.Phase = corev1.PodRunning
			pod.Status.Conditions = []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}, scheduled(pod),
			}
			_, _ = k.clients.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		case pod.DeletionTimestamp == nil:
		case !known:
			k.until[string(pod.UID)] = time.Now().Add(time.Second)
		case time.Now().After(until) && ptr.Deref(pod.DeletionGracePeriodSeconds, 1) > 0:
			_ = k.clients.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
				GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &pod.UID},
			})
		}
	}
}

// scheduled is the condition that the kubelet writes for each of its pods, also for those that were created on the node. It leaves alone
// since when that is so.
func scheduled(pod *corev1.Pod) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
}
