package rules_test

import (
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func TestAttemptsConcernEveryTrailThatSeesThem(t *testing.T) {
	g := NewWithT(t)
	configMaps := v1alpha1.Rule{Level: v1alpha1.LevelChanges, Kinds: []string{"ConfigMap"}}
	whole := v1alpha1.Rule{Level: v1alpha1.LevelObject}
	suspended := trail("prod", "suspended", whole)
	suspended.Spec.Suspend = new(true)
	set := rules.Compile([]v1alpha1.AuditTrail{
		tenant(configMaps), trail("prod", "whole", whole), trail("dev", "other", whole), suspended,
	}, options())
	request := &rules.Request{Operation: "DELETE", Group: "audit.trailkeeper.dev", Resource: "auditevents", Namespace: "prod", Username: "mallory"}
	got := map[string]v1alpha1.Level{}
	for _, match := range set.AppendAttemptMatches(nil, request) {
		got[match.Trail.Namespace] = match.Level
		g.Expect(match.FailurePolicy).To(Equal(v1alpha1.FailurePolicyIgnore), "the policies refuse it already")
	}
	g.Expect(got).To(Equal(map[string]v1alpha1.Level{operatorNamespace: v1alpha1.LevelMetadata, "prod": v1alpha1.LevelObject}))
}

func TestTheEntryOfAttempts(t *testing.T) {
	g := NewWithT(t)
	endpoint := func(path string) admissionregistrationv1.WebhookClientConfig {
		url := "https://x" + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url}
	}
	g.Expect(rules.Compile(nil, options()).Attempts(endpoint)).To(BeEmpty(), "no trail, no call")
	entries := rules.Compile([]v1alpha1.AuditTrail{tenant()}, options()).Attempts(endpoint)
	g.Expect(entries).To(HaveLen(1))
	g.Expect(*entries[0].ClientConfig.URL).To(Equal("https://x" + rules.AttemptPath))
	g.Expect(*entries[0].FailurePolicy).To(Equal(admissionregistrationv1.Ignore))
	g.Expect(*entries[0].SideEffects).To(Equal(admissionregistrationv1.SideEffectClassNoneOnDryRun))
	g.Expect(entries[0].MatchConditions).To(HaveLen(2), "neither the operator's own records nor the wipe of a namespace")
}
