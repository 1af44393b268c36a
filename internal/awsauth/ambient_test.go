package awsauth

import (
	"bytes"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

func ambientTrail(namespace string) *v1alpha1.AuditTrail {
	trail := keyTrail()
	trail.Namespace = namespace
	trail.Spec.CloudWatch.Auth = v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}}
	return trail
}

func TestATenantTrailUsesTheOperatorsIdentity(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	session, err := newAuthenticator(fake.NewClientBuilder().Build()).Session(t.Context(), ambientTrail(operatorNamespace))
	g.Expect(err).NotTo(HaveOccurred())
	identity, err := session.Verify(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(identity.ARN).To(Equal("arn:aws:iam::123456789012:user/audit"))
	g.Expect(server.Calls("GetCallerIdentity")).To(ConsistOf(HaveField("KeyID", "AKIAOPERATOR")))
}

func TestNobodyElseUsesTheOperatorsIdentity(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	_, err := newAuthenticator(withGrants(map[string]string{"shop": "*"}).Build()).Session(t.Context(), ambientTrail("shop"))
	found, ok := fault.As(err)
	g.Expect(ok).To(BeTrue())
	g.Expect(found.Reason).To(Equal(v1alpha1.ReasonAmbientNotAllowed))
	g.Expect(found.Terminal).To(BeTrue())
	g.Expect(server.Calls("GetCallerIdentity")).To(BeEmpty())
}

func TestAmbientWithoutAnIdentity(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	auth, trail := newAuthenticator(fake.NewClientBuilder().Build()), ambientTrail(operatorNamespace)
	verify := func() error {
		session, err := auth.Session(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = session.Verify(t.Context())
		return err
	}
	err := verify()
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonNoIdentity))
	g.Expect(err).To(MatchError(And(ContainSubstring("EKS Pod Identity"), ContainSubstring("in place of ambient"))))
	g.Expect(server.Calls("GetCallerIdentity")).To(BeEmpty())

	t.Setenv("AWS_ACCESS_KEY_ID", "AKIANEW")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "new")
	auth.Forget(trail)
	g.Expect(verify()).To(Succeed(), "an identity that was added later is found")
}

// TestForgottenAmbientCredentialsAreLookedUpAnew: what AWS refused is not used until it expires by itself.
func TestForgottenAmbientCredentialsAreLookedUpAnew(t *testing.T) {
	g := NewWithT(t)
	awstest.Start(t)
	auth, trail := newAuthenticator(fake.NewClientBuilder().Build()), ambientTrail(operatorNamespace)
	keyID := func() string {
		session, err := auth.Session(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		credentials, err := session.Config.Credentials.Retrieve(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		return credentials.AccessKeyID
	}
	g.Expect(keyID()).To(Equal("AKIAOPERATOR"))
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAROTATED")
	g.Expect(keyID()).To(Equal("AKIAOPERATOR"))
	auth.Forget(trail)
	g.Expect(keyID()).To(Equal("AKIAROTATED"))
}

// TestTheOperatorsOwnRotation: a role is assumed with whatever the operator's identity is by then.
func TestTheOperatorsOwnRotation(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	auth, trail := newAuthenticator(withRole()), roleTrail("shop")
	server.Fail("AssumeRole", "ExpiredToken")
	session, err := auth.Session(t.Context(), trail)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = session.Verify(t.Context())
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonNoIdentity))

	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAROTATED")
	server.On("AssumeRole", func(awstest.Call) awstest.Answer { return awstest.Assumed(awstest.Account) })
	_, err = session.Verify(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	calls := server.Calls("AssumeRole")
	g.Expect(calls[len(calls)-1].KeyID).To(Equal("AKIAROTATED"))
}

// TestCredentialsAreNeverPrinted by any verb, nor by the logger.
func TestCredentialsAreNeverPrinted(t *testing.T) {
	g := NewWithT(t)
	awstest.Start(t)
	k := keys{id: "AKIA1", secret: "s3cr3t", token: "t0k3n"}
	auth := newAuthenticator(fake.NewClientBuilder().Build())
	base, err := auth.region(t.Context(), "eu-west-1")
	g.Expect(err).NotTo(HaveOccurred())
	session := auth.keySession(keyTrail(), base, k)
	var log bytes.Buffer
	zap.New(zap.WriteTo(&log)).Info("Using", "keys", k, "session", session)
	for _, printed := range []string{
		fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%v %+v %#v %s", session, session, session, session), log.String(),
	} {
		g.Expect(printed).NotTo(Or(ContainSubstring("s3cr3t"), ContainSubstring("t0k3n")))
		g.Expect(printed).NotTo(BeEmpty())
	}
}

func TestSessionNames(t *testing.T) {
	g := NewWithT(t)
	trail := keyTrail()
	g.Expect(sessionName(trail)).To(Equal("trailkeeper-shop-changes"))
	trail.Namespace = "a-namespace-of-a-name-that-is-as-long-as-kubernetes-allows-63-x"
	first := sessionName(trail)
	trail.Name = "other"
	g.Expect(first).To(MatchRegexp(`^[\w+=,.@-]{64}$`))
	g.Expect(sessionName(trail)).NotTo(Equal(first), "CloudTrail must tell them apart")
}
