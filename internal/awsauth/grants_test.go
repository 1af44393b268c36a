package awsauth

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

func TestGranted(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/team/audit"
	for name, c := range map[string]struct {
		lines string
		want  bool
	}{
		"nothing":                {"", false},
		"empty lines":            {"\n \n\r\n", false},
		"exact":                  {role, true},
		"among others, CRLF":     {"arn:aws:iam::1:role/a\r\n  " + role + " \r\n", true},
		"beginning":              {"arn:aws:iam::123456789012:role/team/*", true},
		"every role":             {"*", true},
		"a beginning, no star":   {"arn:aws:iam::123456789012:role/team/", false},
		"a longer role":          {role + "-more", false},
		"another account":        {"arn:aws:iam::210987654321:role/*", false},
		"a star in the middle":   {"arn:aws:iam::*:role/team/audit", false},
		"other case":             {"arn:aws:iam::123456789012:role/Team/*", false},
		"two on one line":        {"arn:aws:iam::1:role/a " + role, false},
		"a question mark":        {"arn:aws:iam::123456789012:role/team/audi?", false},
		"commented out":          {"#" + role, false},
		"beginning with a space": {"\tarn:aws:iam::123456789012:role/t*", true},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(granted(c.lines, role)).To(Equal(c.want))
		})
	}
}

// TestWhoNeedsAGrant: the check is where credentials are handed out, so that nothing gets around it.
func TestWhoNeedsAGrant(t *testing.T) {
	awstest.Start(t)
	withAccount := roleTrail("shop")
	withAccount.Spec.CloudWatch.Auth.STS.ServiceAccountName = "pusher"
	for name, c := range map[string]struct {
		trail  *v1alpha1.AuditTrail
		grants map[string]string
		reason string
	}{
		"project, granted":           {roleTrail("shop"), map[string]string{"shop": "arn:aws:iam::123456789012:role/*"}, ""},
		"project, nothing listed":    {roleTrail("shop"), nil, v1alpha1.ReasonRoleNotGranted},
		"project, another's grant":   {roleTrail("shop"), map[string]string{"bank": "*"}, v1alpha1.ReasonRoleNotGranted},
		"tenant":                     {roleTrail(operatorNamespace), nil, ""},
		"project, its own account":   {withAccount, nil, ""},
		"project, another role only": {roleTrail("shop"), map[string]string{"shop": "arn:aws:iam::123456789012:role/other"}, v1alpha1.ReasonRoleNotGranted},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newAuthenticator(withGrants(c.grants).Build()).Session(t.Context(), c.trail)
			g := NewWithT(t)
			g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
			if c.reason != "" {
				g.Expect(err).To(MatchError(And(ContainSubstring("under key shop of ConfigMap trailkeeper-system/trailkeeper-role-grants"),
					ContainSubstring("arn:aws:iam::123456789012:role/audit"), ContainSubstring("serviceAccountName"))))
			}
		})
	}
}

func TestWithoutTheConfigMapNothingIsGranted(t *testing.T) {
	g := NewWithT(t)
	awstest.Start(t)
	_, err := newAuthenticator(fake.NewClientBuilder().Build()).Session(t.Context(), roleTrail("shop"))
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonRoleNotGranted))

	unreadable := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("connection reset")
		},
	}).Build()
	_, err = newAuthenticator(unreadable).Session(t.Context(), roleTrail("shop"))
	g.Expect(err).To(MatchError(ContainSubstring("connection reset")))
	g.Expect(fault.ReasonOf(err)).To(BeEmpty(), "it is not known that the role is not granted")
}

// TestAWithdrawnGrantEndsTheSession: credentials that were got by it are not used once more, and a new grant begins anew.
func TestAWithdrawnGrantEndsTheSession(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	c := withRole()
	auth, trail := newAuthenticator(c), roleTrail("shop")
	use := func() error {
		session, err := auth.Session(t.Context(), trail)
		if err == nil {
			_, err = session.Config.Credentials.Retrieve(t.Context())
		}
		return err
	}
	g.Expect(use()).To(Succeed())

	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: RoleGrantsName}}
	g.Expect(c.Update(t.Context(), grants)).To(Succeed())
	g.Expect(fault.ReasonOf(use())).To(Equal(v1alpha1.ReasonRoleNotGranted))
	g.Expect(auth.ExternalID(trail)).To(Equal("c1/shop"), "it is needed to prepare the role")

	grants.Data = map[string]string{"shop": "*"}
	g.Expect(c.Update(t.Context(), grants)).To(Succeed())
	g.Expect(use()).To(Succeed())
	g.Expect(server.Calls("AssumeRole")).To(HaveLen(2), "the old credentials must not be used again")
}
