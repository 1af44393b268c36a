package awsauth

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

const (
	// audience is what AWS expects in the tokens of clusters (Amazon EKS, "IAM roles for service accounts").
	audience = "sts.amazonaws.com"
	// tokenSeconds is the shortest lifetime that TokenRequest grants; the token is used once, at once.
	tokenSeconds = 600
)

// assumeWithToken assumes the trail's role with a token of the service account that the trail names. The operator's
// own AWS identity plays no part in it.
func (a *Authenticator) assumeWithToken(trail *v1alpha1.AuditTrail) assume {
	spec := *trail.Spec.CloudWatch.Auth.STS
	namespace, name, policy := trail.Namespace, sessionName(trail), sessionPolicy(trail)
	return func(ctx context.Context, base aws.Config) (assumption, error) {
		token, err := a.token(ctx, namespace, spec.ServiceAccountName)
		if err != nil {
			return assumption{}, err
		}
		out, err := sts.NewFromConfig(base).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn:          aws.String(spec.RoleARN),
			RoleSessionName:  aws.String(name),
			DurationSeconds:  aws.Int32(duration(&spec)),
			Policy:           aws.String(policy),
			WebIdentityToken: aws.String(token),
		})
		if err != nil {
			return assumption{}, webIdentityFault(err)
		}
		return assumption{out.Credentials, out.AssumedRoleUser}, nil
	}
}

func (a *Authenticator) token(ctx context.Context, namespace, name string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
	}
	err := a.options.Tokens.SubResource("token").Create(ctx, account, request)
	switch {
	case apierrors.IsNotFound(err):
		return "", fault.Wait(v1alpha1.ReasonServiceAccountNotFound, 0, fault.Text(fmt.Sprintf(
			"ServiceAccount %s/%s does not exist: create it, or correct spec.cloudWatch.auth.sts.serviceAccountName", namespace, name), err))
	case apierrors.IsForbidden(err):
		return "", fault.Wait(v1alpha1.ReasonServiceAccountNotUsable, 0, fault.Text(fmt.Sprintf(
			"The operator may not request tokens of ServiceAccount %s/%s: in namespace %s create a Role that allows create on "+
				"serviceaccounts/token with resourceNames [%s], and a RoleBinding of that Role to ServiceAccount %s/%s",
			namespace, name, namespace, name, a.options.OperatorNamespace, a.options.ServiceAccount), err))
	case err != nil:
		return "", fmt.Errorf("requesting a token of ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return request.Status.Token, nil
}
