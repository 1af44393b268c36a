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

// refused says what to do when the API server refuses: which role gives the right, and where; with no namespace, in all.
func refused(err error, role, namespace string) error {
	switch {
	case apierrors.IsForbidden(err) && namespace == "":
		return fmt.Errorf("%w\nTo be allowed to: kubectl create clusterrolebinding NAME --clusterrole=%s --user=YOU "+
			"(an administrator does it), or name a namespace with -n", err, role)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w\nTo be allowed to: kubectl create rolebinding NAME -n %s --clusterrole=%s --user=YOU "+
			"(an administrator of the namespace does it)", err, namespace, role)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w\nThe API server does not accept the credentials of your kubeconfig: log in again", err)
	case meta.IsNoMatchError(err):
		return fmt.Errorf("%w\nTrailkeeper is not installed in this cluster: see docs/getting-started.md", err)
	default:
		return err
	}
}
