package cli

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Roles that the manifests have for users.
const (
	viewerRole = "trailkeeper-viewer"
	editorRole = "trailkeeper-editor"
)

// advisedError is an error, and what to do about it, which is shown on a line of its own.
type advisedError struct {
	error
	advice string
}

// Unwrap gives the error without the advice.
func (e *advisedError) Unwrap() error { return e.error }

// refused says what to do when the API server refuses: which role gives the right, and where; with no namespace, in all.
func refused(err error, role, namespace string) error {
	switch {
	case apierrors.IsForbidden(err) && namespace == "":
		return &advisedError{err, fmt.Sprintf("an administrator runs: kubectl create clusterrolebinding NAME --clusterrole=%s --user=YOU; "+
			"or name a namespace with -n", role)}
	case apierrors.IsForbidden(err):
		return &advisedError{err, bindIn(namespace, role)}
	case apierrors.IsUnauthorized(err):
		return &advisedError{err, "the API server does not accept the credentials of your kubeconfig: log in again"}
	case meta.IsNoMatchError(err):
		return &advisedError{err, "Trailkeeper is not installed in this cluster: see docs/getting-started.md"}
	default:
		return err
	}
}

// bindIn is how an administrator gives a role in a namespace.
func bindIn(namespace, role string) string {
	return fmt.Sprintf("an administrator of the namespace runs: kubectl create rolebinding NAME -n %s --clusterrole=%s --user=YOU", namespace, role)
}
