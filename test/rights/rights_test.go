package rights

import (
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// rare are rights that this run does not use, and why the operator has them all the same.
var rare = map[string]string{
	"get auditevents.audit.trailkeeper.dev": "delivery lets go of bodies while many events wait, and reads them again",
	"patch events.events.k8s.io":            "an Event that repeats itself for minutes becomes a series",
	"update secrets trailkeeper-ledger-key": "a ledger's key is replaced when somebody asks for it or it is old",
}

// unreadable is a Secret that the operator may not read.
const unreadable = "unreadable"

// TestTheOperatorHasTheRightsThatItUses: what it may do without ever doing it would help only whoever steals its token.
func TestTheOperatorHasTheRightsThatItUses(t *testing.T) {
	if os.Getenv("TRAILKEEPER_SOAK") == "" {
		t.Skip("with TRAILKEEPER_SOAK=1: every other test of the operator has its rights, and would miss one that it needs")
	}
	g := NewWithT(t)
	w := newWorld(t)
	w.deliver()
	w.rotate()
	w.tamper()
	w.overflow()
	w.prune()
	w.leave()
	w.operator.Close() // A watch is in the log when it has ended.

	objects, err := w.env.Render(t.Context(), "config/rbac")
	g.Expect(err).NotTo(HaveOccurred())
	may, err := granted(objects)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(may)).To(BeNumerically(">", 50), "the roles were not found")
	var entries []testenv.AuditEntry
	g.Eventually(func() (map[right]bool, error) {
		entries, err = w.env.AuditLog()
		return used(entries), err
	}).WithTimeout(patience).WithPolling(polling).Should(HaveKey(right{"watch", "audittrails.audit.trailkeeper.dev", ""}))
	did := used(entries)
	t.Logf("the operator made use of %d of %d rights", len(may)-len(unused(may, did)), len(may))

	left := unused(may, did)
	for right, reason := range rare {
		g.Expect(left).To(ContainElement(right), "it is used, so it is not rare: %s", reason)
	}
	var needless []string
	for _, right := range left {
		if rare[right] == "" {
			needless = append(needless, right)
		}
	}
	g.Expect(needless).To(BeEmpty(), "take them from the markers, or say here why they are rare")
	// The one refusal that is meant: the outcome of a change of a Secret is looked for, and stays unknown.
	g.Expect(refused(entries)).To(HaveExactElements(HavePrefix("get " + project + "/" + unreadable + ": ")))
}

// deliver has trails push with keys, with a granted role and with the operator's own identity, and judge what they push.
func (w *world) deliver() {
	g := NewWithT(w.t)
	w.change("made", 20)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: unreadable}, StringData: map[string]string{"a": "1"}}
	g.Expect(w.admin.Create(w.t.Context(), secret)).To(Succeed())
	secret.StringData = map[string]string{"a": "2"}
	g.Expect(w.admin.Update(w.t.Context(), secret)).To(Succeed())
	g.Expect(w.admin.Delete(w.t.Context(), secret)).To(Succeed())
	w.waitDelivered(w.ambient)
	w.waitDelivered(w.byRole)
	// The operator may not read Secrets, so it writes that it cannot tell.
	w.waitUsed("patch auditevents.audit.trailkeeper.dev/status")
}

// rotate waits until the webhook's authority, which is short-lived here, is replaced.
func (w *world) rotate() { w.waitUsed("update secrets trailkeeper-webhook-ca") }

// tamper deletes the webhook configuration, which is made again.
func (w *world) tamper() {
	g := NewWithT(w.t)
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "trailkeeper-recorder"}}
	g.Expect(w.admin.Delete(w.t.Context(), configuration)).To(Succeed())
	g.Eventually(func() error {
		return w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(configuration), configuration)
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	g.Eventually(func() (bool, error) {
		return testenv.Probe(w.t.Context(), w.admin, w.ambient, project)
	}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
}

// overflow has so much wait that it is packed, and then delivered.
func (w *world) overflow() {
	g := NewWithT(w.t)
	mend := w.aws.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Unavailable})
	for burst := 0; ; burst++ {
		w.change(fmt.Sprintf("waiting-%d", burst), 40)
		var chunks v1alpha1.AuditEventChunkList
		g.Expect(w.admin.List(w.t.Context(), &chunks, client.InNamespace(testenv.OperatorNamespace))).To(Succeed())
		if len(chunks.Items) > 0 {
			break
		}
		g.Expect(burst).To(BeNumerically("<", 200), "nothing is packed")
	}
	mend()
	w.waitUsed("delete auditeventchunks.audit.trailkeeper.dev")
	w.waitDelivered(w.ambient)
}

// prune has more events than are kept.
func (w *world) prune() {
	w.waitUsed("delete auditevents.audit.trailkeeper.dev")
}

// leave deletes the trails.
func (w *world) leave() {
	g := NewWithT(w.t)
	for _, trail := range []*v1alpha1.AuditTrail{w.ambient, w.byRole, w.byKeys} {
		g.Expect(w.admin.Delete(w.t.Context(), trail)).To(Succeed())
		g.Eventually(func() bool {
			return client.IgnoreNotFound(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)) == nil &&
				w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail) != nil
		}).WithTimeout(patience).WithPolling(polling).Should(BeTrue(), trail.Name)
	}
}

func (w *world) waitDelivered(trail *v1alpha1.AuditTrail) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.DeliveringCondition)).To(BeTrue())
		g.Expect(trail.Status.Delivery).NotTo(BeNil())
		g.Expect(trail.Status.Delivery.Delivered).To(BeNumerically(">", 0))
		g.Expect(trail.Status.Delivery.Pending).To(BeZero())
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed(), trail.Name)
}

// waitUsed waits until the audit log tells of a right.
func (w *world) waitUsed(wanted string) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func() bool { return w.hasUsed(wanted) }).WithTimeout(patience).WithPolling(time.Second).Should(BeTrue(), wanted)
}

// hasUsed says whether the audit log tells of a right.
func (w *world) hasUsed(wanted string) bool {
	w.t.Helper()
	entries, err := w.env.AuditLog()
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	for right := range used(entries) {
		if right.String() == wanted {
			return true
		}
	}
	return false
}
