package rules

import (
	"slices"
	"strings"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Names that Kubernetes reserves for its own components.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings
const (
	nodePrefix           = "system:node:"
	nodesGroup           = "system:nodes"
	kubePrefix           = "system:kube-"
	apiServerUser        = "system:apiserver"
	serviceAccountPrefix = "system:serviceaccount:"
	kubeSystemPrefix     = "system:serviceaccount:kube-system:"
)

// ActorType classifies an identity. A node is what the API server takes for one: a name and a group
// (k8s.io/apiserver's node authorizer asks for both), so nobody leaves the record by a name alone. Members of
// system:masters are users like others. It does not allocate.
func ActorType(username string, groups []string) v1alpha1.ActorType {
	switch {
	case !strings.HasPrefix(username, "system:"):
		return v1alpha1.ActorUser
	case strings.HasPrefix(username, nodePrefix) && slices.Contains(groups, nodesGroup):
		return v1alpha1.ActorNode
	case strings.HasPrefix(username, kubePrefix), username == apiServerUser, strings.HasPrefix(username, kubeSystemPrefix):
		return v1alpha1.ActorControlPlane
	case strings.HasPrefix(username, serviceAccountPrefix):
		return v1alpha1.ActorServiceAccount
	default:
		return v1alpha1.ActorUser
	}
}

// ServiceAccountUsername is the user name of the operator's own service account in its namespace.
func ServiceAccountUsername(namespace string) string {
	return serviceAccountPrefix + namespace + ":trailkeeper-manager"
}

// allActors is every class that the API server can name, in a fixed order.
var allActors = []v1alpha1.ActorType{
	v1alpha1.ActorUser, v1alpha1.ActorServiceAccount, v1alpha1.ActorNode, v1alpha1.ActorControlPlane,
}
