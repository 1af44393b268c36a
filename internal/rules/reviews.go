package rules

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// reviewGroups have nothing but reviews: questions that look like creations, such as whether somebody may do something. Nothing is
// stored of them. The API server asks no webhook about them from 1.37 on (KEP-5793); before that, a webhook that refuses what it
// cannot record keeps everybody from logging in, the operator among them, while no replica is there to answer.
var reviewGroups = []string{"authentication.k8s.io", "authorization.k8s.io"}

func isReview(req *Request) bool { return slices.Contains(reviewGroups, req.Group) }

// withoutReviews keeps reviews back, where the rules may ask for any.
func withoutReviews(rules []admissionregistrationv1.RuleWithOperations) []admissionregistrationv1.MatchCondition {
	asked := slices.ContainsFunc(rules, func(rule admissionregistrationv1.RuleWithOperations) bool {
		return slices.ContainsFunc(rule.APIGroups, func(group string) bool { return group == "*" || slices.Contains(reviewGroups, group) })
	})
	if !asked {
		return nil
	}
	return []admissionregistrationv1.MatchCondition{{Name: "not-a-review", Expression: not(in(celGroup, reviewGroups))}}
}
