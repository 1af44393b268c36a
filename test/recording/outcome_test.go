package recording

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// kubectl runs `kubectl get` as alice and returns what it prints, as a line of fields for each line.
func kubectlGet(t *testing.T, namespace string, args ...string) [][]string {
	t.Helper()
	g := NewWithT(t)
	kubeconfig, err := env.WriteKubeconfig(aliceConfig, "get-"+namespace)
	g.Expect(err).NotTo(HaveOccurred())
	output, err := exec.CommandContext(t.Context(), env.Kubectl(),
		append([]string{"--kubeconfig", kubeconfig, "-n", namespace, "get"}, args...)...).Output()
	g.Expect(err).NotTo(HaveOccurred())
	var lines [][]string
	for line := range strings.Lines(string(output)) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}

// expectNotPersisted waits until kubectl shows that a change did not stick.
func expectNotPersisted(t *testing.T, namespace, object string) {
	t.Helper()
	NewWithT(t).Eventually(func() [][]string {
		return kubectlGet(t, namespace, "auditevents", "--no-headers",
			"--field-selector", "spec.resource.name="+object+",spec.actor.username="+person)
	}).WithTimeout(patience).WithPolling(500*time.Millisecond).Should(
		ContainElement(ContainElement("NotPersisted")), "events of %s", object)
}

func TestRefusedByQuota(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "quota"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/configmaps": resource.MustParse("0")}},
	}
	g.Expect(admin.Create(t.Context(), quota)).To(Succeed())

	// The quota is enforced once the controller has counted what is there.
	var refused string
	g.Eventually(func() error {
		object := configMap("refused-" + strconv.FormatInt(time.Now().UnixNano(), 10))
		refused = object.Name
		_, err := alice.CoreV1().ConfigMaps(namespace).Create(t.Context(), object, createOptions)
		return err
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("exceeded quota")))

	expectNotPersisted(t, namespace, refused)
}

func TestRefusedByDisruptionBudget(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromString("100%")),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "pod"}},
		},
	}
	g.Expect(admin.Create(t.Context(), budget)).To(Succeed())
	pod := newPod(t, namespace, "node-3")
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	g.Expect(admin.Status().Update(t.Context(), pod)).To(Succeed())

	err := alice.CoreV1().Pods(namespace).EvictV1(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "pod"}})
	g.Expect(apierrors.IsTooManyRequests(err)).To(BeTrue(), "%v", err)

	expectNotPersisted(t, namespace, "pod")
}

func TestLargeEventIsCut(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	object := configMap("large")
	object.Data["key"] = strings.Repeat("x", 900<<10)

	object = create(t, namespace, object)

	recorded := events(t, namespace)
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Truncated).To(ConsistOf("changes.values"))
	g.Expect(recorded[0].Resource.UID).To(BeEquivalentTo(object.UID))
	g.Expect(recorded[0].Actor.Username).To(Equal(person))
}

func TestRetentionKeepsMaxEvents(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project")
	startTrail(t, trail, namespace)
	for range 5 {
		create(t, namespace, generated())
	}
	all := allEvents(t, namespace)
	waitDelivered(t, trail, all[len(all)-1].ResourceVersion)

	trail.Spec.Retention.MaxEvents = ptr.To[int32](3)
	g.Expect(admin.Update(t.Context(), trail)).To(Succeed())

	// The newest are those of this update: that it was made and, a moment later, that it holds. Pruning comes by every
	// half minute.
	g.Eventually(func() []string { return names(allEvents(t, namespace)) }).
		WithTimeout(2 * patience).WithPolling(100 * time.Millisecond).
		Should(And(HaveLen(3), ContainElements(names(all[len(all)-1:]))))
}

// waitDelivered waits until the trail's cursor has passed a resourceVersion.
func waitDelivered(t *testing.T, trail *v1alpha1.AuditTrail, last string) {
	t.Helper()
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(trail.Status.Delivery).NotTo(BeNil())
		g.Expect(trail.Status.Delivery.ResourceVersion).NotTo(BeEmpty())
		cursor, err := strconv.Atoi(trail.Status.Delivery.ResourceVersion)
		g.Expect(err).NotTo(HaveOccurred())
		reached, err := strconv.Atoi(last)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cursor).To(BeNumerically(">=", reached), "only what is delivered is pruned")
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
}

func names(events []v1alpha1.AuditEvent) []string {
	var list []string
	for i := range events {
		list = append(list, events[i].Name)
	}
	return list
}

func TestColumns(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	create(t, namespace, configMap("web"))

	trails := kubectlGet(t, namespace, "audittrails")
	g.Expect(trails).To(HaveLen(2))
	g.Expect(trails[0]).To(Equal([]string{"NAME", "READY", "REASON", "SCOPE", "DESTINATION", "DELIVERED", "AGE"}))
	g.Expect(trails[1][:2]).To(Equal([]string{"project", "True"}))
	g.Expect(trails[1]).To(ContainElement("Project"))

	found := kubectlGet(t, namespace, "auditevents", "--field-selector", "spec.resource.name=web")
	g.Expect(found).To(HaveLen(2))
	g.Expect(strings.Join(found[0], " ")).To(Equal("NAME TIME ACTOR ACTION KIND OBJECT NAMESPACE OBJECT OUTCOME"))
	g.Expect(found[1][2:]).To(Equal([]string{person, "Create", "ConfigMap", namespace, "web"}))

	wide := kubectlGet(t, namespace, "auditevents", "-o", "wide", "--field-selector", "spec.resource.name=web")
	g.Expect(strings.Join(wide[0], " ")).To(HaveSuffix("OUTCOME NOTE TRAIL"))
	g.Expect(wide[1]).To(HaveLen(8))
	g.Expect(wide[1][7]).To(Equal("project"))
}
