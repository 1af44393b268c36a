package recording

import (
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// newPod makes a pod named "pod" that runs nowhere: there is no kubelet. With a node's name it counts as scheduled.
func newPod(t *testing.T, namespace, node string) *corev1.Pod {
	t.Helper()
	g := NewWithT(t)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Labels: map[string]string{"app": "pod"}},
		Spec: corev1.PodSpec{
			NodeName:   node,
			Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}},
		},
	}
	var created *corev1.Pod
	// The namespace's default service account is made some time after the namespace.
	g.Eventually(func() (err error) {
		created, err = alice.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		return err
	}).WithTimeout(patience).WithPolling(50 * time.Millisecond).Should(Succeed())
	return created
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	create(t, namespace, configMap("web"))
	newPod(t, namespace, "")
	before := events(t, namespace, by(person))
	dryRun := []string{metav1.DryRunAll}

	maps, pods := alice.CoreV1().ConfigMaps(namespace), alice.CoreV1().Pods(namespace)
	_, err := maps.Create(t.Context(), configMap("tried"), metav1.CreateOptions{DryRun: dryRun})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(maps.Delete(t.Context(), "web", metav1.DeleteOptions{DryRun: dryRun})).To(Succeed())
	eviction := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Name: "pod"},
		DeleteOptions: &metav1.DeleteOptions{DryRun: dryRun},
	}
	g.Expect(pods.EvictV1(t.Context(), eviction)).To(Succeed())

	_, err = pods.Get(t.Context(), "pod", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred(), "the eviction was not a dry run")
	g.Expect(events(t, namespace, by(person))).To(HaveLen(len(before)))

	eviction.DeleteOptions = nil
	g.Expect(pods.EvictV1(t.Context(), eviction)).To(Succeed())
	g.Expect(events(t, namespace, by(person))).To(HaveLen(len(before) + 1))
}

func TestEviction(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	newPod(t, namespace, "")

	g.Expect(alice.CoreV1().Pods(namespace).EvictV1(t.Context(),
		&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "pod"}})).To(Succeed())

	recorded := events(t, namespace, by(person))
	g.Expect(recorded).To(HaveLen(2))
	g.Expect(recorded[1].Action).To(Equal(v1alpha1.ActionDelete))
	g.Expect(recorded[1].Resource.Resource).To(Equal("pods"))
	g.Expect(recorded[1].Resource.Subresource).To(Equal("eviction"))
	g.Expect(recorded[1].Cause).To(Equal(&v1alpha1.Cause{Reason: v1alpha1.CauseEviction}))
	g.Expect(recorded[1].Resource.Name).To(Equal("pod"))
}

func TestGracefulDeletionOfAPodIsOneEvent(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	const node = "node-1"
	pod := newPod(t, namespace, node)
	kubelet, err := env.AddUser("system:node:"+node, "system:nodes")
	g.Expect(err).NotTo(HaveOccurred())
	kubeletClients, err := kubernetes.NewForConfig(kubelet)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(alice.CoreV1().Pods(namespace).Delete(t.Context(), "pod", metav1.DeleteOptions{})).To(Succeed())
	deleting, err := alice.CoreV1().Pods(namespace).Get(t.Context(), "pod", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(deleting.DeletionTimestamp).NotTo(BeNil(), "the pod must wait for its node")
	var now int64
	g.Expect(kubeletClients.CoreV1().Pods(namespace).
		Delete(t.Context(), "pod", metav1.DeleteOptions{GracePeriodSeconds: &now})).To(Succeed())
	_, err = alice.CoreV1().Pods(namespace).Get(t.Context(), "pod", metav1.GetOptions{})
	g.Expect(apierrors.IsNotFound(err)).To(BeTrue())

	recorded := events(t, namespace, named("pod"), func(e *v1alpha1.AuditEvent) bool { return e.Spec.Action == v1alpha1.ActionDelete })
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Actor.Username).To(Equal(person))
	g.Expect(recorded[0].Resource.UID).To(BeEquivalentTo(pod.UID))
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	config := rest.CopyConfig(aliceConfig)
	config.Impersonate = rest.ImpersonationConfig{UserName: "bob", Groups: []string{"system:masters", "support"}}
	bob, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())

	_, err = bob.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap("web"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(events(t, namespace, by(person))).To(BeEmpty())
	recorded := events(t, namespace, by("bob"))
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Actor.Groups).To(ContainElement("support"))

	// The audit log joins the event with who really asked.
	entries, err := env.AuditLog()
	g.Expect(err).NotTo(HaveOccurred())
	var name string
	for _, event := range allEvents(t, namespace) {
		if event.Spec.Actor.Username == "bob" {
			name = namespace + "/" + event.Name
		}
	}
	for _, entry := range entries {
		if entry.Annotations["ignore.recorder.trailkeeper.dev/event"] == name {
			g.Expect(entry.User.Username).To(Equal(person))
			g.Expect(entry.ImpersonatedUser.Username).To(Equal("bob"))
			return
		}
	}
	t.Errorf("no entry of the audit log names the event %s", name)
}

func TestCommandsOfExecAreRedacted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	newPod(t, namespace, "node-2")
	kubeconfig, err := env.WriteKubeconfig(aliceConfig, "exec")
	g.Expect(err).NotTo(HaveOccurred())
	run := func() {
		command := exec.CommandContext(t.Context(), env.Kubectl(), "--kubeconfig", kubeconfig, "-n", namespace,
			"exec", "pod", "--", "login", "planted-hunter2")
		output, err := command.CombinedOutput()
		g.Expect(err).To(HaveOccurred(), "there is no node that could run it: %s", output)
	}
	connects := func() []v1alpha1.AuditEventSpec {
		return events(t, namespace, func(e *v1alpha1.AuditEvent) bool { return e.Spec.Action == v1alpha1.ActionConnect })
	}

	run()
	first := connects()
	g.Expect(first).NotTo(BeEmpty())
	for i := range first {
		g.Expect(first[i].Resource.Subresource).To(Equal("exec"))
		g.Expect(first[i].Resource.Name).To(Equal("pod"))
		g.Expect(first[i].Redacted).To(ContainElement("/command"))
		g.Expect(changesOf(t, &first[i])).NotTo(ContainSubstring("planted"))
	}

	run()
	g.Expect(len(connects())).To(BeNumerically(">", len(first)), "the same command again is another connection")
}

func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "db"}, StringData: map[string]string{"password": "planted-hunter2"},
	}
	_, err := alice.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Redacted).To(ContainElement("/data/password"))
	shown := changesOf(t, &recorded[0])
	g.Expect(shown).To(ContainSubstring(`"password":"redacted:`))
	g.Expect(shown).NotTo(ContainSubstring("planted-hunter2"))
	g.Expect(shown).NotTo(ContainSubstring("cGxhbnRlZC1odW50ZXIy"))
}
