package awsauth

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// temporaryPrefix begins the ids of access keys that STS made; they are valid together with a session token only
// (AWS IAM, "IAM identifiers", unique ids).
const temporaryPrefix = "ASIA"

// keys are access keys from a Secret.
type keys struct {
	id, secret, token string
	// version changes whenever the Secret does.
	version string
}

// Format keeps the keys out of whatever they are printed into, by any verb.
func (keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(access keys)") }

func (a *Authenticator) keySession(trail *v1alpha1.AuditTrail, base aws.Config, k keys) *Session {
	key := sessionKey{
		namespace:     trail.Namespace,
		region:        base.Region,
		generation:    trail.Generation,
		secretVersion: k.version,
	}
	return a.session(trail.UID, key, func() *Session {
		cfg := base.Copy()
		cfg.Credentials = credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token)
		return &Session{
			Config: cfg,
			verify: func(ctx context.Context) (v1alpha1.CallerIdentity, error) { return callerIdentity(ctx, cfg) },
		}
	})
}

// readKeys reads the trail's Secret, live.
func (a *Authenticator) readKeys(ctx context.Context, trail *v1alpha1.AuditTrail) (keys, error) {
	ref := trail.Spec.CloudWatch.Auth.Credentials.SecretRef
	name := trail.Namespace + "/" + ref.Name
	var secret corev1.Secret
	err := a.options.Reader.Get(ctx, client.ObjectKey{Namespace: trail.Namespace, Name: ref.Name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return keys{}, fault.Wait(v1alpha1.ReasonSecretNotFound, 0, fault.Text(
			fmt.Sprintf("Secret %s does not exist: create it, or correct spec.cloudWatch.auth.credentials.secretRef.name", name), err))
	case apierrors.IsForbidden(err):
		return keys{}, fault.Wait(v1alpha1.ReasonSecretNotReadable, 0, fault.Text(fmt.Sprintf(
			"The operator may not read Secret %s: in namespace %s create a Role that allows get, list and watch on secrets with "+
				"resourceNames [%s], and a RoleBinding of that Role to ServiceAccount %s/%s",
			name, trail.Namespace, ref.Name, a.options.OperatorNamespace, a.options.ServiceAccount), err))
	case err != nil:
		return keys{}, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	return keysFrom(&secret, ref)
}

// keysFrom takes the keys out of a Secret. White space around the values is what editors and echo leave behind.
func keysFrom(secret *corev1.Secret, ref v1alpha1.SecretReference) (keys, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	idKey := cmp.Or(ref.AccessKeyIDKey, "AWS_ACCESS_KEY_ID")
	secretKey := cmp.Or(ref.SecretAccessKeyKey, "AWS_SECRET_ACCESS_KEY")
	tokenKey := cmp.Or(ref.SessionTokenKey, "AWS_SESSION_TOKEN")

	found := keys{
		id:      value(idKey),
		secret:  value(secretKey),
		token:   value(tokenKey),
		version: string(secret.UID) + "/" + secret.ResourceVersion,
	}
	for _, needed := range []struct{ key, value string }{{idKey, found.id}, {secretKey, found.secret}} {
		if needed.value == "" {
			return keys{}, fault.Wait(v1alpha1.ReasonSecretKeyMissing, 0, textf(
				"Secret %s/%s has no value under key %s: add it, or name the right key in spec.cloudWatch.auth.credentials.secretRef",
				secret.Namespace, secret.Name, needed.key))
		}
	}
	if strings.HasPrefix(found.id, temporaryPrefix) && found.token == "" {
		return keys{}, fault.Wait(v1alpha1.ReasonSessionTokenMissing, 0, textf(
			"The access key in Secret %s/%s is a temporary one (%s...), which is valid with a session token only: add it under key %s",
			secret.Namespace, secret.Name, temporaryPrefix, tokenKey))
	}
	return found, nil
}
