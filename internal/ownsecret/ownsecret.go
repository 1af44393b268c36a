package ownsecret

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Timeout bounds what is done with one Secret.
const Timeout = 10 * time.Second

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=trailkeeper-system

// Obtain returns the Secret, making it if it does not exist yet: fill gives a new one its content. Of replicas that make it
// at the same time one succeeds, and the others take what it made. The client must read without a cache: the operator may
// not list Secrets.
func Obtain(ctx context.Context, c client.Client, name client.ObjectKey, fill func(*corev1.Secret)) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	secret := &corev1.Secret{}
	err := c.Get(ctx, name, secret)
	if !apierrors.IsNotFound(err) {
		return secret, err
	}
	secret = &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Type:       corev1.SecretTypeOpaque,
	}
	fill(secret)
	if err = c.Create(ctx, secret); apierrors.IsAlreadyExists(err) {
		secret = &corev1.Secret{}
		err = c.Get(ctx, name, secret) // another replica was first
	}
	return secret, err
}
