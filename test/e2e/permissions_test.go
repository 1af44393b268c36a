package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// sixActions are those of the published policy.
var sixActions = []string{
	"logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream",
	"logs:PutLogEvents", "logs:DeleteLogStream", "logs:DescribeLogStreams",
}

// policyWithout allows the six actions but for one.
func policyWithout(action string) string {
	allowed := slices.DeleteFunc(slices.Clone(sixActions), func(a string) bool { return a == action })
	document, err := json.Marshal(map[string]any{
		"Version":   "2012-10-17",
		"Statement": []any{map[string]any{"Effect": "Allow", "Resource": "*", "Action": allowed}},
	})
	if err != nil {
		panic(err) // Strings always encode.
	}
	return string(document)
}

// permission is one case: a trail whose identity lacks an action, and where that shows.
type permission struct {
	lacks  string
	byRole bool
	kind   string
	status metav1.ConditionStatus
}

func (p permission) name() string {
	name := strings.ToLower(strings.TrimPrefix(p.lacks, "logs:"))
	if name == "" {
		name = "all"
	}
	if p.byRole {
		return name + "-by-role"
	}
	return name
}

// TestSixActionsSuffice shows, with an AWS that evaluates IAM policies, that the six published actions are enough, and that
// the condition names whichever is missing. moto evaluates actions only, so policies that are scoped to a group are shown
// with the simulator, in controllers.
func TestSixActionsSuffice(t *testing.T) {
	w := newWorld(t)
	const destination, retention = v1alpha1.DestinationReadyCondition, v1alpha1.RetentionSufficientCondition
	cases := []permission{
		{"", false, v1alpha1.ReadyCondition, metav1.ConditionTrue},
		{"", true, v1alpha1.ReadyCondition, metav1.ConditionTrue},
		{"logs:DescribeLogGroups", false, retention, metav1.ConditionUnknown},
		{"logs:CreateLogGroup", false, destination, metav1.ConditionFalse},
		{"logs:CreateLogStream", false, destination, metav1.ConditionFalse},
		{"logs:PutLogEvents", false, destination, metav1.ConditionFalse},
		{"logs:PutLogEvents", true, destination, metav1.ConditionFalse},
		{"logs:DeleteLogStream", false, v1alpha1.ReadyCondition, metav1.ConditionTrue},
		{"logs:DescribeLogStreams", false, destination, metav1.ConditionFalse},
	}
	trails := make([]*v1alpha1.AuditTrail, len(cases))
	for i, c := range cases {
		trails[i] = w.permitted(c)
	}
	w.account.enforce()
	for _, trail := range trails {
		// The admission policy hears of a grant a moment later.
		NewWithT(t).Eventually(func() error { return w.admin.Create(t.Context(), trail) }).WithTimeout(30 * time.Second).Should(Succeed())
	}
	for i, c := range cases {
		t.Run(c.name(), func(t *testing.T) { w.expectPermission(t, c, trails[i]) })
	}
}

// permitted makes a namespace and an identity with the case's permissions, and says which trail to make there.
func (w *world) permitted(c permission) *v1alpha1.AuditTrail {
	w.t.Helper()
	g := NewWithT(w.t)
	namespace := "permission-" + c.name()
	g.Expect(w.admin.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	made := trail(namespace, "trail")
	made.Spec.CloudWatch.LogGroupName = "/audit/" + c.name()
	made.Spec.DeletionPolicy = v1alpha1.DeletionPolicyDeleteStream
	if c.byRole {
		role := w.account.role(c.name(), policyWithout(c.lacks))
		made.Spec.CloudWatch.Auth.STS = &v1alpha1.STS{RoleARN: role}
		w.grantRole(namespace, role)
		return made
	}
	w.owner = w.account.user(c.name(), policyWithout(c.lacks))
	w.shareSecret(namespace, "aws")
	made.Spec.CloudWatch.Auth.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}
	return made
}

func (w *world) expectPermission(t *testing.T, c permission, trail *v1alpha1.AuditTrail) {
	t.Helper()
	g := NewWithT(t)
	began := time.Now()
	g.Eventually(func(g Gomega) {
		g.Expect(w.admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		condition := meta.FindStatusCondition(trail.Status.Conditions, c.kind)
		g.Expect(condition).NotTo(BeNil(), "%+v", trail.Status.Conditions)
		g.Expect(condition.Status).To(Equal(c.status), "%+v", trail.Status.Conditions)
		if c.status != metav1.ConditionTrue {
			g.Expect(condition.Reason).To(Equal(v1alpha1.ReasonActionNotAllowed))
			g.Expect(condition.Message).To(ContainSubstring(c.lacks))
		}
	}).WithTimeout(60 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
	t.Logf("seen %s after it was looked for", time.Since(began).Round(time.Millisecond))
	switch c.lacks {
	case "", "logs:DescribeLogGroups":
		w.expectDelivery(t, trail)
	case "logs:DeleteLogStream":
		g.Expect(w.admin.Delete(t.Context(), trail)).To(Succeed())
		g.Eventually(func(g Gomega) {
			g.Expect(w.admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
			ready := meta.FindStatusCondition(trail.Status.Conditions, v1alpha1.ReadyCondition)
			g.Expect(ready.Reason).To(Equal(v1alpha1.ReasonDeleting))
			g.Expect(ready.Message).To(ContainSubstring("logs:DeleteLogStream"))
		}).WithTimeout(60 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
	}
}

// expectDelivery makes one change and reads its record back; nothing else, such as a probe, is in the stream.
func (w *world) expectDelivery(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	g := NewWithT(t)
	change := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: trail.Namespace, Name: "change"}}
	g.Eventually(func() error { return w.admin.Create(t.Context(), change) }).WithTimeout(30 * time.Second).Should(Succeed())
	stream := fmt.Sprintf("e2e/%s/%s", trail.Namespace, trail.Name)
	g.Eventually(func() []string {
		return w.account.records(w.reader, trail.Spec.CloudWatch.LogGroupName, stream)
	}).WithTimeout(60 * time.Second).WithPolling(time.Second).Should(ContainElement(ContainSubstring(`"name":"change"`)))
	for _, record := range w.account.records(w.reader, trail.Spec.CloudWatch.LogGroupName, stream) {
		g.Expect(record).To(ContainSubstring(`"sequence":`))
		g.Expect(record).NotTo(ContainSubstring("probe"))
	}
}
