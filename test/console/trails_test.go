package console_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestATrailIsMadeEditedSuspendedAndDeleted(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1280, 900)
	b.signIn(world.tokens["olivia"], "/?page=trails")
	b.picture("trails")
	b.press("New trail")
	b.write("name", "payments")
	b.write("namespace", "shop")
	b.write("group", "aws/no-such-place")
	b.write("region", "eu-west-1")
	b.do(chromedp.Click("input[value=sts]"))
	b.write("role", "arn:aws:iam::123456789012:role/audit")
	b.write("account", "audit") // Its own token: a role that the operator assumes would have to be granted to the project.
	b.press("Review")
	eventually(t, b, `document.querySelector("dialog .problem").textContent.includes("must not start with aws/")`)
	b.write("group", "/audit/payments")
	b.picture("new-trail")
	b.press("Review")
	eventually(t, b, `document.querySelector(".review")?.textContent.includes("logGroupName: /audit/payments")`)
	key := client.ObjectKey{Namespace: "shop", Name: "payments"}
	g.Expect(apierrors.IsNotFound(world.admin.Get(t.Context(), key, &v1alpha1.AuditTrail{}))).To(BeTrue(), "a review makes nothing")
	b.picture("new-trail-review")
	b.press("Create the trail")
	eventually(t, b, `document.querySelector(".trails").textContent.includes("/audit/payments")`)
	g.Expect(trail(t, key).Spec.CloudWatch.Auth.STS.RoleARN).To(Equal("arn:aws:iam::123456789012:role/audit"))

	b.press("Edit payments")
	b.write("hours", "48")
	b.do(chromedp.Click("input[value=credentials]"))
	b.write("secret", "keys")
	b.press("Review")
	b.do(chromedp.WaitVisible(".review"))
	b.press("Save")
	eventually(t, b, `!document.querySelector("dialog")`)
	edited := trail(t, key).Spec
	g.Expect(*edited.Retention.TTLSeconds).To(BeEquivalentTo(48 * 3600))
	g.Expect(edited.CloudWatch.Auth.STS).To(BeNil())
	g.Expect(edited.CloudWatch.Auth.Credentials.SecretRef.Name).To(Equal("keys"))

	b.press("Suspend payments")
	eventually(t, b, `document.querySelector("[aria-label='Resume payments']")`)
	g.Expect(*trail(t, key).Spec.Suspend).To(BeTrue())

	b.press("Delete payments")
	b.press("Delete the trail")
	eventually(t, b, `!document.querySelector("[aria-label='Delete payments']")`)
	g.Expect(apierrors.IsNotFound(world.admin.Get(t.Context(), key, &v1alpha1.AuditTrail{}))).To(BeTrue())
}

func trail(t *testing.T, key client.ObjectKey) *v1alpha1.AuditTrail {
	t.Helper()
	found := &v1alpha1.AuditTrail{}
	NewWithT(t).Expect(world.admin.Get(t.Context(), key, found)).To(Succeed())
	return found
}

// Whoever may only read is told why a button does nothing.
func TestAReaderCannotChangeTrails(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1280, 900)
	b.signIn(world.tokens["sam"], "/?page=trails&own=1&project=shop")
	b.press("Suspend shop")
	eventually(t, b, `document.querySelector(".problem").textContent.includes("takes the role edit")`)
	g.Expect(trail(t, client.ObjectKey{Namespace: "shop", Name: "shop"}).Spec.Suspend).To(BeNil())
	b.press("Delete shop")
	b.press("Delete the trail")
	eventually(t, b, `document.querySelector("dialog .problem").textContent.includes("takes the role edit")`)

	b.open("/?page=trails")
	eventually(t, b, `document.querySelector(".notice h2")?.textContent.includes("may not read the trails of the whole cluster")`)
}
