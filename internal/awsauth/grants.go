package awsauth

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// RoleGrantsName is the ConfigMap in the operator's namespace that says which roles trails of other namespaces may have
// the operator assume. Its keys are namespaces; each value has one pattern a line: a role's ARN, or the beginning of
// ARNs and a "*". What it does not list is not granted. The admission policy trailkeeper-roles reads it too.
const RoleGrantsName = "trailkeeper-role-grants"

// checkGrant refuses a role that the operator would assume for a namespace to which nobody granted it.
//
// The operator's identity may well be trusted by roles that are none of the trail's business, and the external id of a
// namespace protects only those roles whose trust policy asks for one (AWS IAM, "The confused deputy problem").
func (a *Authenticator) checkGrant(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	if !a.Borrows(trail) {
		return nil
	}
	role := trail.Spec.CloudWatch.Auth.STS.RoleARN
	var grants corev1.ConfigMap
	err := a.options.Grants.Get(ctx, client.ObjectKey{Namespace: a.options.OperatorNamespace, Name: RoleGrantsName}, &grants)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading which roles are granted to namespace %s: %w", trail.Namespace, err)
	}
	if granted(grants.Data[trail.Namespace], role) {
		return nil
	}
	return fault.Wait(v1alpha1.ReasonRoleNotGranted, 0, textf(
		"Namespace %[1]s may not use role %[2]s through the operator: ask an administrator of Trailkeeper to add it under key "+
			"%[1]s of ConfigMap %[3]s/%[4]s, or name a service account of the namespace in "+
			"spec.cloudWatch.auth.sts.serviceAccountName, which needs no grant",
		trail.Namespace, role, a.options.OperatorNamespace, RoleGrantsName))
}

// Borrows says whether the trail has the operator assume a role and needs a grant for it: trails in the operator's
// namespace are the administrator's own, and with a service account the operator's identity plays no part.
func (a *Authenticator) Borrows(trail *v1alpha1.AuditTrail) bool {
	if trail.Spec.CloudWatch == nil || trail.Namespace == a.options.OperatorNamespace {
		return false
	}
	sts := trail.Spec.CloudWatch.Auth.STS
	return sts != nil && sts.ServiceAccountName == ""
}

// granted says whether one of the lines is the role's ARN, or the beginning of it and a "*".
func granted(lines, role string) bool {
	for line := range strings.Lines(lines) {
		pattern := strings.TrimSpace(line)
		if prefix, ok := strings.CutSuffix(pattern, "*"); pattern == role || ok && strings.HasPrefix(role, prefix) {
			return true
		}
	}
	return false
}
