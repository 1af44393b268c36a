package awsauth

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth/awstest"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

const operatorNamespace = "trailkeeper-system"

func newAuthenticator(c client.Client) *Authenticator {
	return New(Options{Reader: c, Grants: c, Tokens: c, OperatorNamespace: operatorNamespace, ServiceAccount: "trailkeeper-manager", ClusterID: "c1"})
}

func keyTrail() *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "changes", UID: "u1", Generation: 1},
		Spec: v1alpha1.AuditTrailSpec{CloudWatch: &v1alpha1.CloudWatchDestination{
			Region: "eu-west-1", LogGroupName: "/audit",
			Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
		}},
	}
}

func roleTrail(namespace string) *v1alpha1.AuditTrail {
	trail := keyTrail()
	trail.Namespace = namespace
	trail.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: "arn:aws:iam::123456789012:role/audit"}}
	return trail
}

// withGrants is an API server with the ConfigMap of grants.
func withGrants(data map[string]string) *fake.ClientBuilder {
	return fake.NewClientBuilder().WithObjects(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: RoleGrantsName}, Data: data,
	})
}

// withRole is an API server where namespace shop may use the role of roleTrail.
func withRole() client.Client {
	return withGrants(map[string]string{"shop": "arn:aws:iam::123456789012:role/audit"}).Build()
}

func awsSecret(data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "aws"}, Data: map[string][]byte{}}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	return secret
}

func TestKeysFromASecret(t *testing.T) {
	good := map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1\n", "AWS_SECRET_ACCESS_KEY": " s3cr3t\r\n"}
	cases := map[string]struct {
		data   map[string]string
		ref    v1alpha1.SecretReference
		reason string
	}{
		"white space around":     {data: good},
		"own key names":          {data: map[string]string{"id": "AKIA1", "key": "s3cr3t"}, ref: v1alpha1.SecretReference{AccessKeyIDKey: "id", SecretAccessKeyKey: "key"}},
		"no id":                  {data: map[string]string{"AWS_SECRET_ACCESS_KEY": "s3cr3t"}, reason: v1alpha1.ReasonSecretKeyMissing},
		"blank secret":           {data: map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": " \n"}, reason: v1alpha1.ReasonSecretKeyMissing},
		"temporary, no token":    {data: map[string]string{"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}, reason: v1alpha1.ReasonSessionTokenMissing},
		"temporary with a token": {data: map[string]string{"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := keysFrom(awsSecret(c.data), c.ref)
			g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
			if c.reason == "" {
				g.Expect(got.id).To(MatchRegexp(`^A[KS]IA1$`))
				g.Expect(got.secret).To(Equal("s3cr3t"))
			} else {
				g.Expect(err.Error()).NotTo(ContainSubstring("s3cr3t"))
			}
		})
	}
}

func TestUnreadableSecrets(t *testing.T) {
	g := NewWithT(t)
	awstest.Start(t)
	_, err := newAuthenticator(fake.NewClientBuilder().Build()).Session(t.Context(), keyTrail())
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonSecretNotFound))

	forbidden := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "aws", nil)
		},
	}).Build()
	_, err = newAuthenticator(forbidden).Session(t.Context(), keyTrail())
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonSecretNotReadable))
	g.Expect(err).To(MatchError(And(ContainSubstring("resourceNames [aws]"), ContainSubstring("trailkeeper-system/trailkeeper-manager"))))
}

func TestARoleIsAssumedOnceForManyUses(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	auth := newAuthenticator(withRole())
	trail := roleTrail("shop")

	use := func() {
		session, err := auth.Session(t.Context(), trail)
		g.Expect(err).NotTo(HaveOccurred())
		credentials, err := session.Config.Credentials.Retrieve(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(credentials.AccessKeyID).To(Equal("ASIAROLE"))
	}
	for range 10_000 {
		use()
	}
	g.Expect(server.Calls("AssumeRole")).To(HaveLen(1))
	g.Expect(server.Calls("AssumeRole")[0].KeyID).To(Equal("AKIAOPERATOR"))

	trail.Generation++
	use()
	g.Expect(server.Calls("AssumeRole")).To(HaveLen(2), "a changed spec must not use the old credentials")
	auth.Forget(trail)
	use()
	g.Expect(server.Calls("AssumeRole")).To(HaveLen(3))
}

func TestExternalIDs(t *testing.T) {
	set := func(trail *v1alpha1.AuditTrail) *v1alpha1.AuditTrail {
		trail.Spec.CloudWatch.Auth.STS.ExternalID = "chosen"
		return trail
	}
	cases := map[string]struct {
		trail  *v1alpha1.AuditTrail
		sent   []string
		reason string
	}{
		"project":         {roleTrail("shop"), []string{"c1/shop"}, ""},
		"project chooses": {set(roleTrail("shop")), nil, v1alpha1.ReasonExternalIDNotAllowed},
		"tenant":          {roleTrail(operatorNamespace), nil, ""},
		"tenant chooses":  {set(roleTrail(operatorNamespace)), []string{"chosen"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			server := awstest.Start(t)
			session, err := newAuthenticator(withRole()).Session(t.Context(), c.trail)
			g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
			if err != nil {
				return
			}
			identity, err := session.Verify(t.Context())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(identity.AccountID).To(Equal(awstest.Account))
			g.Expect(server.Calls("AssumeRole")[0].Form["ExternalId"]).To(Equal(c.sent))
		})
	}
}

func TestTheSessionPolicyIsTheBasePolicyOnOneGroup(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	session, err := newAuthenticator(withRole()).Session(t.Context(), roleTrail("shop"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = session.Verify(t.Context())
	g.Expect(err).NotTo(HaveOccurred())

	form := server.Calls("AssumeRole")[0].Form
	g.Expect(form.Get("DurationSeconds")).To(Equal("3600"))
	g.Expect(form.Get("RoleSessionName")).To(Equal("trailkeeper-shop-changes"))
	var policy struct{ Statement []statement }
	g.Expect(json.Unmarshal([]byte(form.Get("Policy")), &policy)).To(Succeed())
	const group = "arn:aws:logs:eu-west-1:123456789012:log-group:/audit"
	g.Expect(policy.Statement).To(Equal([]statement{
		{"Allow", []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DeleteLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents", "logs:FilterLogEvents"}, []string{group, group + ":*"}},
		{"Allow", []string{"logs:DescribeLogGroups"}, []string{"arn:aws:logs:eu-west-1:123456789012:log-group:*"}},
	}))
}

func TestWebIdentityUsesTheServiceAccountsTokenAlone(t *testing.T) {
	g := NewWithT(t)
	server := awstest.Start(t)
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		SubResourceCreate: func(_ context.Context, _ client.Client, name string, account, request client.Object, _ ...client.SubResourceCreateOption) error {
			token, ok := request.(*authenticationv1.TokenRequest)
			if !ok || name != "token" || account.GetName() != "pusher" || account.GetNamespace() != "shop" {
				return fmt.Errorf("unexpected %s of %s/%s", name, account.GetNamespace(), account.GetName())
			}
			token.Status.Token = "token for " + token.Spec.Audiences[0]
			return nil
		},
	}).Build()
	trail := roleTrail("shop")
	trail.Spec.CloudWatch.Auth.STS.ServiceAccountName = "pusher"

	session, err := newAuthenticator(c).Session(t.Context(), trail)
	g.Expect(err).NotTo(HaveOccurred())
	identity, err := session.Verify(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(identity.ARN).To(Equal("arn:aws:sts::123456789012:assumed-role/audit/trail"))
	calls := server.Calls("AssumeRoleWithWebIdentity")
	g.Expect(calls).To(HaveLen(1))
	g.Expect(calls[0].KeyID).To(BeEmpty(), "the operator's identity must play no part")
	g.Expect(calls[0].Form.Get("WebIdentityToken")).To(Equal("token for sts.amazonaws.com"))
}

func TestErrorsOfSTS(t *testing.T) {
	cases := []struct {
		operation, code string
		trail           *v1alpha1.AuditTrail
		reason          string
	}{
		{"GetCallerIdentity", "InvalidClientTokenId", keyTrail(), v1alpha1.ReasonInvalidAccessKey},
		{"GetCallerIdentity", "SignatureDoesNotMatch", keyTrail(), v1alpha1.ReasonSignatureMismatch},
		{"GetCallerIdentity", "ExpiredToken", keyTrail(), v1alpha1.ReasonTokenExpired},
		{"GetCallerIdentity", "RegionDisabledException", keyTrail(), v1alpha1.ReasonRegionUnusable},
		{"GetCallerIdentity", "Throttling", keyTrail(), v1alpha1.ReasonThrottled},
		{"AssumeRole", "AccessDenied", roleTrail("shop"), v1alpha1.ReasonRoleNotAssumable},
		{"AssumeRole", "InvalidClientTokenId", roleTrail("shop"), v1alpha1.ReasonNoIdentity},
		{"AssumeRole", "ThrottlingException", roleTrail("shop"), v1alpha1.ReasonThrottled},
	}
	for _, c := range cases {
		t.Run(c.operation+c.code, func(t *testing.T) {
			g := NewWithT(t)
			server := awstest.Start(t)
			server.Fail(c.operation, c.code)
			kube := withGrants(map[string]string{"shop": "*"}).WithObjects(awsSecret(map[string]string{"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t"})).Build()
			session, err := newAuthenticator(kube).Session(t.Context(), c.trail)
			g.Expect(err).NotTo(HaveOccurred())
			_, err = session.Verify(t.Context())
			g.Expect(fault.ReasonOf(err)).To(Equal(c.reason))
			g.Expect(err.Error()).NotTo(ContainSubstring("request id"))
			g.Expect(server.Calls(c.operation)).To(HaveLen(1), "the SDK must not retry by itself")
		})
	}
}

func TestAnOperatorWithoutIdentity(t *testing.T) {
	g := NewWithT(t)
	awstest.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	session, err := newAuthenticator(withRole()).Session(t.Context(), roleTrail("shop"))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = session.Verify(t.Context())
	g.Expect(fault.ReasonOf(err)).To(Equal(v1alpha1.ReasonNoIdentity))
}

func TestCheckAccount(t *testing.T) {
	g := NewWithT(t)
	trail := keyTrail()
	now := v1alpha1.CallerIdentity{AccountID: "222222222222"}
	g.Expect(CheckAccount(trail, now)).To(Succeed())
	trail.Status.CallerIdentity = &v1alpha1.CallerIdentity{AccountID: "111111111111"}
	g.Expect(fault.ReasonOf(CheckAccount(trail, now))).To(Equal(v1alpha1.ReasonAccountChanged))
	trail.Annotations = map[string]string{v1alpha1.AcceptAccountAnnotation: "333333333333"}
	g.Expect(fault.ReasonOf(CheckAccount(trail, now))).To(Equal(v1alpha1.ReasonAccountChanged))
	trail.Annotations[v1alpha1.AcceptAccountAnnotation] = now.AccountID
	g.Expect(CheckAccount(trail, now)).To(Succeed())
}
