package attack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// attempt is something that the attacker tries.
type attempt struct {
	name string
	try  func(ctx context.Context) error
	// answer is in the message of the refusal. Empty says that it is not refused.
	answer string
	// told is what the tenant's trail tells of it, in words; empty for what no mutating or validating webhook is asked about.
	told string
}

// byRBAC is in the answer to what the attacker has no right to: it never comes as far as admission.
const byRBAC = `User "mallory" cannot`

// try tries everything, one after the other, and checks each answer.
func try(t *testing.T, attempts []attempt) {
	t.Helper()
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			g := NewWithT(t)
			tells := told(t, tenant)
			err := a.try(t.Context())
			if a.told != "" {
				g.Expect(tells()).To(ContainElement(a.told))
			} else {
				g.Expect(tells()).To(BeEmpty())
			}
			if a.answer == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(a.answer)))
			g.Expect(apierrors.IsForbidden(err) || apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		})
	}
}

func waitRecording(ctx context.Context, trail *v1alpha1.AuditTrail, namespace string) error {
	err := wait.PollUntilContextTimeout(ctx, polling, patience, true, func(ctx context.Context) (bool, error) {
		return testenv.Probe(ctx, admin, trail, namespace)
	})
	if err != nil {
		return fmt.Errorf("waiting until %s/%s records: %w", trail.Namespace, trail.Name, err)
	}
	return nil
}

// work is a change of alice's, which others must leave alone. It returns the event that the trail has of it.
func work(t *testing.T, trail *v1alpha1.AuditTrail, namespace string) *v1alpha1.AuditEvent {
	t.Helper()
	g := NewWithT(t)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "work-"}}
	g.Expect(alice.Create(t.Context(), object)).To(Succeed())
	found := eventsOf(t, trail, func(e *v1alpha1.AuditEvent) bool { return e.Spec.Resource.UID == string(object.UID) })
	g.Expect(found).To(HaveLen(1))
	return &found[0]
}

// eventsOf are a trail's events that match, wherever they are, oldest first.
func eventsOf(t *testing.T, trail *v1alpha1.AuditTrail, match func(*v1alpha1.AuditEvent) bool) []v1alpha1.AuditEvent {
	t.Helper()
	var list v1alpha1.AuditEventList
	NewWithT(t).Expect(admin.List(context.WithoutCancel(t.Context()), &list)).To(Succeed())
	return slices.DeleteFunc(list.Items, func(e v1alpha1.AuditEvent) bool {
		return e.Spec.TrailRef.UID != string(trail.UID) || !match(&e)
	})
}

// told begins to look at what a trail tells of the attacker. What it returns is what the trail has told since, in words; what
// the API server validated more than once, because somebody else wrote meanwhile, is told once.
func told(t *testing.T, trail *v1alpha1.AuditTrail) func() []string {
	t.Helper()
	ofAttacker := func(e *v1alpha1.AuditEvent) bool { return e.Spec.Actor.Username == attacker }
	before := map[string]bool{}
	for _, event := range eventsOf(t, trail, ofAttacker) {
		before[event.Name] = true
	}
	return func() []string {
		t.Helper()
		var words []string
		for _, event := range eventsOf(t, trail, ofAttacker) {
			if !before[event.Name] {
				words = append(words, summary(&event))
			}
		}
		return slices.Compact(words)
	}
}

// unharmed checks at the test's end that an event is as it was.
func unharmed(t *testing.T, event *v1alpha1.AuditEvent) {
	t.Helper()
	before := event.DeepCopy()
	t.Cleanup(func() {
		g := NewWithT(t)
		after := &v1alpha1.AuditEvent{}
		g.Expect(admin.Get(context.WithoutCancel(t.Context()), client.ObjectKeyFromObject(before), after)).To(Succeed())
		g.Expect(after.ResourceVersion).To(Equal(before.ResourceVersion), "somebody wrote to it")
	})
}

// summary is what an event tells, in words.
func summary(e *v1alpha1.AuditEvent) string {
	resource := strings.Trim(e.Spec.Resource.Resource+"/"+e.Spec.Resource.Subresource, "/")
	note := ""
	if e.Spec.Note != "" {
		note = ": " + e.Spec.Note
	}
	return fmt.Sprintf("%s %s %s%s", e.Spec.Action, resource, e.Spec.Resource.Name, note)
}
