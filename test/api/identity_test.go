package api_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	auditRole = "arn:aws:iam::123456789012:role/audit"
	otherRole = "arn:aws:iam::123456789012:role/other"
)

func grants(data map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"data": data}}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetNamespace(testenv.OperatorNamespace)
	u.SetName("trailkeeper-role-grants")
	return u
}

// grantCalls makes each call of grantRoles grant a role of its own.
var grantCalls atomic.Int64

// grantRoles sets what roles are granted, and waits until the API server acts on exactly that: a role that no earlier call has
// granted is accepted, and one that never is is refused.
func grantRoles(t *testing.T, data map[string]any) {
	t.Helper()
	g := NewWithT(t)
	admin := clientOf(t, env.Admin())
	known := fmt.Sprintf("arn:aws:iam::123456789012:role/known-%d", grantCalls.Add(1))
	data["known"] = known
	g.Expect(admin.Update(t.Context(), grants(data))).To(Succeed())
	for _, name := range []string{"known", "unknown"} {
		namespace := &unstructured.Unstructured{}
		namespace.SetAPIVersion("v1")
		namespace.SetKind("Namespace")
		namespace.SetName(name)
		g.Expect(client.IgnoreAlreadyExists(admin.Create(t.Context(), namespace))).To(Succeed())
	}
	try := func(namespace string) error {
		return admin.Create(t.Context(), by(sts(known), namespace), client.DryRunAll)
	}
	g.Eventually(t.Context(), func() error { return try("unknown") }).WithTimeout(patience).
		Should(MatchError(ContainSubstring("may not use role")))
	g.Eventually(t.Context(), func() error { return try("known") }).WithTimeout(patience).Should(Succeed())
}

func by(auth map[string]any, namespace string) *unstructured.Unstructured {
	u := trail("by-role")
	u.SetNamespace(namespace)
	u.Object["spec"].(map[string]any)["cloudWatch"].(map[string]any)["auth"] = auth
	return u
}

func with(role, field string, value any) map[string]any {
	auth := sts(role)
	auth["sts"].(map[string]any)[field] = value
	return auth
}

// TestWhoMayUseTheOperatorsIdentity: what can be known without AWS is refused by a dry run, and says whom to ask.
func TestWhoMayUseTheOperatorsIdentity(t *testing.T) {
	const own = testenv.OperatorNamespace
	grantRoles(t, map[string]any{"default": "arn:aws:iam::123456789012:role/first\r\n\n " + auditRole + " \narn:aws:iam::123456789012:role/team/*"})
	ambient := map[string]any{"ambient": map[string]any{}}
	admin := clientOf(t, env.Admin())
	for name, test := range map[string]struct {
		auth      map[string]any
		namespace string
		// want is empty when it is allowed.
		want string
	}{
		"granted role":                  {sts(auditRole), "default", ""},
		"granted by its beginning":      {sts("arn:aws:iam::123456789012:role/team/x"), "default", ""},
		"another role":                  {sts(otherRole), "default", "Namespace default may not use role " + otherRole + " through the operator: ask an administrator of Trailkeeper to add it under key default of ConfigMap trailkeeper-system/trailkeeper-role-grants"},
		"nothing granted":               {sts(auditRole), "kube-public", "Namespace kube-public may not use role"},
		"a longer name":                 {sts(auditRole + "-more"), "default", "may not use role"},
		"tenant needs no grant":         {sts(otherRole), own, ""},
		"web identity needs no grant":   {with(otherRole, "serviceAccountName", "pusher"), "default", ""},
		"external id":                   {with(auditRole, "externalID", "chosen"), "default", "may set auth.sts.externalID: remove it, and let the role's trust policy ask for the external id that status.externalID"},
		"external id of a tenant":       {with(auditRole, "externalID", "chosen"), own, ""},
		"the operator's identity":       {ambient, "default", "may use the operator's own identity: use auth.credentials or auth.sts in place of auth.ambient"},
		"a tenant has it":               {ambient, own, ""},
		"access keys are nobody's else": {map[string]any{"credentials": map[string]any{"secretRef": map[string]any{"name": "aws"}}}, "kube-public", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := admin.Create(t.Context(), by(test.auth, test.namespace), client.DryRunAll)
			if test.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue())
		})
	}
}

// TestAWithdrawnGrantLeavesTheTrailEditable: it could otherwise not even be suspended, or lose its finalizer.
func TestAWithdrawnGrantLeavesTheTrailEditable(t *testing.T) {
	g := NewWithT(t)
	grantRoles(t, map[string]any{"default": auditRole})
	admin := clientOf(t, env.Admin())
	created := by(sts(auditRole), "default")
	g.Expect(admin.Create(t.Context(), created)).To(Succeed())
	t.Cleanup(func() { g.Expect(admin.Delete(withoutCancel(t), created)).To(Succeed()) })
	grantRoles(t, map[string]any{})
	g.Expect(admin.Update(t.Context(), edit{"spec.suspend": true}.apply(t, created), client.DryRunAll)).To(Succeed())
	longer := edit{"spec.cloudWatch.auth": with(auditRole, "durationSeconds", int64(900))}.apply(t, created)
	g.Expect(admin.Update(t.Context(), longer, client.DryRunAll)).To(MatchError(ContainSubstring("may not use role")))
}

func TestGrantsThatMeanNothingAreRefused(t *testing.T) {
	admin := clientOf(t, env.Admin())
	grantRoles(t, map[string]any{})
	for lines, accepted := range map[string]bool{
		"":                                   true,
		"\n \r\n":                            true,
		auditRole:                            true,
		auditRole + "\n" + otherRole + "*\n": true,
		"arn:aws-cn:iam::123456789012:*":     true,
		"*":                                  true,
		"audit":                              false,
		auditRole + "\naudit":                false,
		auditRole + ", " + otherRole:         false,
		"arn:aws:iam::123456789012:role/*/x": false,
		"arn:aws:iam::123456789012:user/me":  false,
		"# " + auditRole:                     false,
		"arn:aws:iam::*:role/audit":          false,
	} {
		t.Run(lines, func(t *testing.T) {
			err := admin.Update(t.Context(), grants(map[string]any{"default": lines}), client.DryRunAll)
			if accepted {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring("Each line of a grant is the ARN of a role")))
		})
	}
	elsewhere := grants(map[string]any{"default": "whatever"})
	elsewhere.SetNamespace("default")
	NewWithT(t).Expect(admin.Create(t.Context(), elsewhere, client.DryRunAll)).To(Succeed())
}
