package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func (s *session) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [NAMESPACE/]TRAIL",
		Short: "Say what a trail records, and what the API server is told to send",
		Args:  cobra.ExactArgs(1),

		ValidArgsFunction: s.completeTrails,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			trail, err := s.findTrail(command.Context(), c, args[0])
			if err != nil {
				return err
			}
			s.printTrail(trail)
			return nil
		},
	}
}

// printTrail says what a trail records. Rules are compiled by the same code as the operator's.
func (s *session) printTrail(trail *v1alpha1.AuditTrail) {
	s.printf("%s\n\n", s.paint(bold, plain("AuditTrail "+trail.Namespace+"/"+trail.Name)))
	s.field("Sees", s.scopeText(trail))
	s.field("Pushes to", destinationText(trail))
	s.field("Keeps", retentionText(trail))
	s.field("At failure", failureText(trail))
	if trail.Spec.Redaction != nil {
		s.field("Hides", strings.Join(trail.Spec.Redaction.Paths, ", ")+", beside the values of Secrets")
	}
	if trail.Spec.Suspend != nil && *trail.Spec.Suspend {
		s.printf("\n%s\n", s.paint(yellow, "It is suspended: spec.suspend is true, so nothing is recorded."))
	}
	s.printRules(trail)
	s.printSubscription(trail)
}

func (s *session) scopeText(trail *v1alpha1.AuditTrail) string {
	if rules.ScopeOf(trail.Namespace, s.operatorNamespace) == v1alpha1.ScopeTenant {
		return "the whole cluster (Tenant: it is in the operator's namespace)"
	}
	return "namespace " + trail.Namespace + " only, and nothing that is cluster-scoped (Project)"
}

func destinationText(trail *v1alpha1.AuditTrail) string {
	to := trail.Spec.CloudWatch
	if to == nil {
		return "nothing (ClusterOnly)"
	}
	stream := cmp.Or(trail.Status.LogStreamName, to.LogStreamName, "which is not made yet")
	return fmt.Sprintf("CloudWatch Logs in %s, log group %s, log stream %s", to.Region, to.LogGroupName, stream)
}

func retentionText(trail *v1alpha1.AuditTrail) string {
	ttl, most := trail.Spec.Retention.TTLSeconds, trail.Spec.Retention.MaxEvents
	if ttl == nil || most == nil {
		return ""
	}
	return fmt.Sprintf("the newest %d events in the cluster, for %s; what is still to be pushed in any case", *most, durationText(*ttl))
}

func failureText(trail *v1alpha1.AuditTrail) string {
	if trail.Spec.Recording.FailurePolicy == v1alpha1.FailurePolicyFail {
		return "a change whose event can be stored nowhere is refused (Fail), but for those in kube-system and the operator's namespace"
	}
	return "a change whose event can be stored nowhere is made all the same, and a Gap tells of it (Ignore)"
}

// printRules shows the rules in words, in their order.
func (s *session) printRules(trail *v1alpha1.AuditTrail) {
	list, title := trail.Spec.Rules, "Rules: the first that matches decides, and what none matches is not recorded"
	if len(list) == 0 {
		list, title = rules.Default(), "Rules, by default: the first that matches decides, and what none matches is not recorded"
	}
	s.printf("\n%s\n", s.paint(bold, title))
	for i := range list {
		rule := &list[i]
		colour := green
		if rule.Level == v1alpha1.LevelNone {
			colour = faint
		}
		level := fmt.Sprintf("%-8s", rule.Level)
		s.printf("  %2d  %s  %s\n", i+1, s.paint(colour, level), plain(ruleText(rule)))
	}
}

// ruleText is what a rule matches, in words.
func ruleText(rule *v1alpha1.Rule) string {
	operations := make([]string, 0, len(rule.Operations))
	for _, operation := range rule.Operations {
		operations = append(operations, string(operation))
	}
	parts := []string{cmp.Or(strings.Join(operations, ", "), "any operation"), "of " + resourcesText(rule)}
	parts = append(parts, listed("named", rule.Names)...)
	parts = append(parts, listed("in namespace", rule.Namespaces)...)
	if rule.NamespaceSelector != nil {
		parts = append(parts, "in namespaces with "+metav1.FormatLabelSelector(rule.NamespaceSelector))
	}
	actors := make([]string, 0, len(rule.Actors))
	for _, actor := range rule.Actors {
		actors = append(actors, string(actor))
	}
	parts = append(parts, listed("by any", actors)...)
	parts = append(parts, listed("by user", rule.Users)...)
	parts = append(parts, listed("by a member of", rule.Groups)...)
	parts = append(parts, listed("through field manager", rule.FieldManagers)...)
	return strings.Join(parts, " ")
}

func listed(before string, values []string) []string {
	if len(values) == 0 {
		return nil
	}
	return []string{before + " " + strings.Join(values, " or ")}
}

// resourcesText names resources as kubectl does, with their group behind a dot.
func resourcesText(rule *v1alpha1.Rule) string {
	var names []string
	for _, entry := range rule.Resources {
		list := entry.Resources
		if len(list) == 0 {
			list = []string{"*"}
		}
		for _, name := range list {
			switch {
			case entry.Group == "*" && name != "*":
				name += " of any group"
			case entry.Group != "" && entry.Group != "*":
				name += "." + entry.Group
			}
			names = append(names, name)
		}
	}
	text := cmp.Or(strings.Join(names, ", "), "everything")
	if len(rule.Kinds) > 0 {
		text += " of kind " + strings.Join(rule.Kinds, " or ")
	}
	return text
}

// printSubscription shows what this trail alone has the API server send. Other trails may have it send more, of which this
// one takes nothing.
func (s *session) printSubscription(trail *v1alpha1.AuditTrail) {
	set := rules.Compile([]v1alpha1.AuditTrail{*trail}, rules.Options{
		OperatorNamespace: s.operatorNamespace, OperatorUsername: s.operatorUsername(),
	})
	webhooks := set.Webhooks(func(string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{}
	})
	s.printf("\n%s\n", s.paint(bold, "What the API server is told to send for it"))
	if len(webhooks) == 0 {
		s.printf("  nothing\n")
	}
	for i := range webhooks {
		webhook := &webhooks[i]
		s.printf("  %s (failure policy %s)\n", webhook.Name, *webhook.FailurePolicy)
		for j := range webhook.Rules {
			s.printf("    %s\n", plain(webhookRuleText(&webhook.Rules[j])))
		}
		if selector := webhook.NamespaceSelector; selector != nil && len(selector.MatchExpressions)+len(selector.MatchLabels) > 0 {
			s.printf("    in namespaces with %s\n", plain(metav1.FormatLabelSelector(selector)))
		}
		for _, condition := range webhook.MatchConditions {
			s.printf("    if %s: %s\n", condition.Name, plain(condition.Expression))
		}
	}
}

func webhookRuleText(rule *admissionregistrationv1.RuleWithOperations) string {
	operations := make([]string, 0, len(rule.Operations))
	for _, operation := range rule.Operations {
		operations = append(operations, string(operation))
	}
	groups := make([]string, 0, len(rule.APIGroups))
	for _, group := range rule.APIGroups {
		groups = append(groups, cmp.Or(group, "core"))
	}
	scope := ""
	if rule.Scope != nil && *rule.Scope == admissionregistrationv1.NamespacedScope {
		scope = ", in namespaces"
	}
	return fmt.Sprintf("%s of %s in group %s%s", strings.Join(operations, ","), strings.Join(rule.Resources, ","), strings.Join(groups, ","), scope)
}
