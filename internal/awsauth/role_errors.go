package awsauth

import (
	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// STS answers AccessDenied for a missing role, a trust policy that leaves the caller out, a wrong external id and a
// caller without permission alike, so the text lists them.
var refused = meaning{v1alpha1.ReasonRoleNotAssumable,
	"STS refuses the role: check that the role exists, that its trust policy names the operator's identity, " +
		"that it asks for the external id in status.externalID, and that the operator's identity is allowed sts:AssumeRole on it"}

var refusedToken = meaning{v1alpha1.ReasonRoleNotAssumable,
	"STS refuses the role: check that the role exists, that the cluster's issuer is an OIDC provider of the account with " +
		"audience " + audience + ", and that the role's trust policy names the service account"}

var refusedInput = meaning{v1alpha1.ReasonRoleNotAssumable,
	"STS refuses the request: check that the role's maximum session duration allows durationSeconds, which may be 3600 at most " +
		"when the operator's own identity is a role"}

var refusedTokenInput = meaning{v1alpha1.ReasonRoleNotAssumable,
	"STS refuses the request: check that the role's maximum session duration allows durationSeconds"}

var operatorRefused = meaning{v1alpha1.ReasonNoIdentity,
	"AWS does not accept the operator's own identity, which is to assume the role: check the operator's credentials, and the " +
		"clock of its node"}

// assumeRoleFault classifies an error of AssumeRole. The caller is the operator, so whatever is wrong with the
// caller's keys is for the operator's administrator.
func assumeRoleFault(err error) error {
	const operation = "sts:AssumeRole"
	switch code := Code(err); code {
	case "AccessDenied", "AccessDeniedException":
		return refused.fault(code, operation, err)
	case "ValidationError":
		return refusedInput.fault(code, operation, err)
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException":
		return operatorRefused.fault(code, operation, err)
	default:
		return Fault(operation, err)
	}
}

func webIdentityFault(err error) error {
	const operation = "sts:AssumeRoleWithWebIdentity"
	switch code := Code(err); code {
	case "AccessDenied", "AccessDeniedException", "InvalidIdentityToken", "IDPRejectedClaim", "ExpiredTokenException":
		return refusedToken.fault(code, operation, err)
	case "ValidationError":
		return refusedTokenInput.fault(code, operation, err)
	case "IDPCommunicationError":
		return unreachable.fault(code, operation, err)
	default:
		return Fault(operation, err)
	}
}

// What the operator lacks, and what to do about it.
const (
	noneToAssume = "The operator has no AWS identity that could assume the role: give the operator's pod one, or name a service account " +
		"of the trail's namespace in spec.cloudWatch.auth.sts.serviceAccountName"
	noneOfItsOwn = "The operator has no AWS identity of its own: give the operator's pod one (EKS Pod Identity, IAM roles for service " +
		"accounts, an instance role), or use spec.cloudWatch.auth.credentials or spec.cloudWatch.auth.sts in place of ambient"
)

func noIdentity(lacking string, err error) error {
	return fault.Wait(v1alpha1.ReasonNoIdentity, 0, fault.Text(lacking, err))
}
