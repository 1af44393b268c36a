package oracle

import (
	"context"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// node is where pods run that say so.
const node = "node-1"

// kubelet plays the node's part: it says that pods run, and ends those whose deletion was asked for.
type kubelet struct {
	clients *kubernetes.Clientset
	// until is when a pod may be ended, by uid: a moment after its deletion was seen.
	until map[string]time.Time
}

// startKubelet runs until the test's end.
func (w *world) startKubelet() {
	w.t.Helper()
	config, err := w.env.AddUser("system:node:"+node, "system:nodes")
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	k := &kubelet{clients: clients, until: map[string]time.Time{}}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait.UntilWithContext(ctx, k.sync, 200*time.Millisecond)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// sync does what is due. What fails is done the next time.
func (k *kubelet) sync(ctx context.Context) {
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
