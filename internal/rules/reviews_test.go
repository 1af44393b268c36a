package rules_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// TestReviewsAreNeverAskedFor: whoever logs in would have to wait for the recorder.
func TestReviewsAreNeverAskedFor(t *testing.T) {
	resources := func(group string, names ...string) v1alpha1.Rule {
		return v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Resources: []v1alpha1.GroupResources{{Group: group, Resources: names}}}
	}
	for name, test := range map[string]struct {
		rule v1alpha1.Rule
		kept bool
	}{
		"everything":   {v1alpha1.Rule{Level: v1alpha1.LevelMetadata}, true},
		"every group":  {resources("*", "subjectaccessreviews"), true},
		"just reviews": {resources("authentication.k8s.io", "tokenreviews"), true},
		"other groups": {resources("apps", "deployments"), false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			trail := failing(tenant(test.rule))
			set := rules.Compile([]v1alpha1.AuditTrail{trail}, options())
			for _, review := range []rules.Request{
				request("CREATE", "authentication.k8s.io", "selfsubjectreviews", "", "", ""),
				request("CREATE", "authentication.k8s.io", "tokenreviews", "", "", ""),
				request("CREATE", "authorization.k8s.io", "subjectaccessreviews", "", "", ""),
				request("CREATE", "authorization.k8s.io", "localsubjectaccessreviews", "", "prod", ""),
			} {
				g.Expect(set.AppendMatches(nil, &review)).To(BeEmpty(), "%+v", review)
			}
			asked := 0
			for _, webhook := range webhooks(trail) {
				for _, condition := range webhook.MatchConditions {
					if condition.Name == "not-a-review" {
						g.Expect(condition.Expression).To(Equal(`!(request.resource.group in ["authentication.k8s.io", "authorization.k8s.io"])`))
						asked++
					}
				}
			}
			g.Expect(asked > 0).To(Equal(test.kept))
		})
	}
	g := NewWithT(t)
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(v1alpha1.Rule{Level: v1alpha1.LevelMetadata})}, options())
	token := request("CREATE", "", "serviceaccounts", "token", "prod", "app")
	g.Expect(set.AppendMatches(nil, &token)).To(HaveLen(1), "a token is given, which is no review")
}
