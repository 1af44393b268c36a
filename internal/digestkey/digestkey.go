package digestkey

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/ownsecret"
)

const (
	// SecretName is the Secret in the operator's namespace that holds the key.
	SecretName = "trailkeeper-digest-key"
	// Size of the key in bytes: that of HMAC-SHA-256's output, as RFC 2104 section 3 recommends at least.
	Size = 32

	secretKey = "key"
)

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get,resourceNames=trailkeeper-digest-key,namespace=trailkeeper-system

// Load returns the key of the operator's namespace, making it if it does not exist yet. The client must read
// without a cache: the operator may not list Secrets. A Secret whose key has another length than Size is an error and
// is not replaced, because a new key would make old digests and new ones incomparable.
func Load(ctx context.Context, c client.Client, namespace string) ([]byte, error) {
	name := client.ObjectKey{Namespace: namespace, Name: SecretName}
	secret, err := ownsecret.Obtain(ctx, c, name, generate)
	if err != nil {
		return nil, fmt.Errorf("loading the key of redaction digests from Secret %s: %w", name, err)
	}
	key := secret.Data[secretKey]
	if len(key) != Size {
		return nil, fmt.Errorf("the Secret %s has %d bytes under %q, want %d: restore it from a backup, or delete it to have a new key made, with which digests differ from those recorded before", name, len(key), secretKey, Size)
	}
	return key, nil
}

func generate(secret *corev1.Secret) {
	key := make([]byte, Size)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program instead
	immutable := true
	secret.Immutable = &immutable
	secret.Data = map[string][]byte{secretKey: key}
}
