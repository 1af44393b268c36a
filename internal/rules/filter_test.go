package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// costBudget is what the API server allows for the matchConditions of one call: RuntimeCELCostBudgetMatchConditions of
// k8s.io/apiserver.
const costBudget = 2_500_000

// gate is a webhook entry as the API server applies it: rules, namespaceSelector, matchConditions.
type gate struct {
	webhook    admissionregistrationv1.ValidatingWebhook
	selector   labels.Selector
	conditions []cel.Program
}

func gates(t *testing.T, set *rules.Set) map[string]*gate {
	t.Helper()
	g := NewWithT(t)
	env, err := cel.NewEnv(cel.Variable("request", cel.DynType), cel.OptionalTypes(), ext.Strings(ext.StringsVersion(0)))
	g.Expect(err).NotTo(HaveOccurred())
	compiled := map[string]*gate{}
	for _, webhook := range set.Webhooks(endpoint) {
		entry := &gate{webhook: webhook}
		entry.selector, err = metav1.LabelSelectorAsSelector(webhook.NamespaceSelector)
		g.Expect(err).NotTo(HaveOccurred())
		for _, condition := range webhook.MatchConditions {
			ast, issues := env.Compile(condition.Expression)
			g.Expect(issues.Err()).NotTo(HaveOccurred(), condition.Expression)
			program, err := env.Program(ast, cel.EvalOptions(cel.OptTrackCost, cel.OptOptimize))
			g.Expect(err).NotTo(HaveOccurred())
			entry.conditions = append(entry.conditions, program)
		}
		compiled[strings.TrimPrefix(*webhook.ClientConfig.URL, "https://x")] = entry
	}
	return compiled
}

func endpoint(path string) admissionregistrationv1.WebhookClientConfig {
	url := "https://x" + path
	return admissionregistrationv1.WebhookClientConfig{URL: &url}
}

// passes reports whether the API server would call the webhook. name and namespace are the AdmissionRequest's.
func (e *gate) passes(t *testing.T, req *rules.Request, name, namespace string) bool {
	t.Helper()
	if e == nil || !e.rulesMatch(req) {
		return false
	}
	// Cluster-scoped objects pass whatever the selector says, but for Namespaces, which pass by their own labels.
	if namespace != "" && !e.selector.Matches(labels.Set{corev1.LabelMetadataName: namespace}) {
		return false
	}
	for _, condition := range e.conditions {
		value, details, err := condition.Eval(map[string]any{"request": celRequest(req, name, namespace)})
		if err != nil {
			t.Fatalf("the API server would fail on %+v: %v", req, err)
		}
		if cost := details.ActualCost(); cost == nil || *cost > costBudget/5 {
			t.Fatalf("%+v costs %v units, too near to the budget of %d", req, cost, costBudget)
		}
		if value != types.True {
			return false
		}
	}
	return true
}

func (e *gate) rulesMatch(req *rules.Request) bool {
	return slices.ContainsFunc(e.webhook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
		return slices.Contains(r.Operations, admissionregistrationv1.OperationType(req.Operation)) &&
			(r.APIGroups[0] == "*" || r.APIGroups[0] == req.Group) &&
			(*r.Scope == admissionregistrationv1.AllScopes || req.Namespace != "") &&
			slices.ContainsFunc(r.Resources, func(form string) bool {
				resource, sub, _ := strings.Cut(form, "/")
				return (resource == "*" || resource == req.Resource) && (sub == "*" || sub == req.Subresource)
			})
	})
}

// celRequest leaves out what is empty, as the AdmissionRequest's JSON does.
func celRequest(req *rules.Request, name, namespace string) map[string]any {
	user := map[string]any{}
	request := map[string]any{
		"operation": req.Operation, "userInfo": user,
		"resource": map[string]any{"group": req.Group, "version": req.Version, "resource": req.Resource},
		"kind":     map[string]any{"group": req.Group, "version": req.Version, "kind": req.Kind},
		"options":  celOptions(req),
	}
	for key, value := range map[string]string{"subResource": req.Subresource, "name": name, "namespace": namespace} {
		if value != "" {
			request[key] = value
		}
	}
	if req.Username != "" {
		user["username"] = req.Username
	}
	if len(req.Groups) > 0 {
		user["groups"] = req.Groups
	}
	return request
}

// celOptions are null for a connection, as the API server has them.
func celOptions(req *rules.Request) any {
	switch {
	case req.Operation == "CONNECT":
		return nil
	case req.FieldManager == "":
		return map[string]any{}
	default:
		return map[string]any{"fieldManager": req.FieldManager}
	}
}

// path is where a match is recorded.
func path(policy v1alpha1.FailurePolicy) string {
	if policy == v1alpha1.FailurePolicyFail {
		return rules.FailPath
	}
	return rules.IgnorePath
}

// What a trail wants must reach the recorder, at the entry of its failure policy, whatever the trails and the request.
func TestWantedRequestsPassTheFilter(t *testing.T) {
	const seeds, requests = 400, 60
	var all filtered
	for seed := range uint64(seeds) {
		all.draw(t, random{Rand: rand.New(rand.NewPCG(seed, 1))}, requests)
	}
	t.Logf("%d matches all pass; of the requests that nobody wants %d pass and %d are held back", all.wanted, all.passed, all.held)
	g := NewWithT(t)
	g.Expect(all.wanted).To(BeNumerically(">", seeds*requests/20), "the random trails must want something for the test to mean anything")
	g.Expect(all.held).To(BeNumerically(">", 10*all.passed), "the filter must hold back nearly all that nobody wants")
}

// FuzzRules compiles trails with a word of the fuzzer's among their names, and sends requests with it: the API server must take the
// expressions, whatever the word has in it, and hold nothing back that a trail wants.
func FuzzRules(f *testing.F) {
	for _, word := range []string{"", "*", `\`, `"`, "'", "'||true||'", "\x00", "\n", "\u2028", "prod*", "**", "é", "\U0001F600", "system:", "${x}", "\\u0041"} {
		for choice := range byte(4) {
			f.Add([]byte{choice}, word)
		}
	}
	f.Fuzz(func(t *testing.T, choices []byte, word string) {
		if len(word) > 253 || !utf8.ValidString(word) { // The API allows no more, and JSON nothing else.
			return
		}
		var seed [32]byte
		copy(seed[:], choices)
		var all filtered
		all.draw(t, random{rand.New(rand.NewChaCha8(seed)), word}, 20)
	})
}

// filtered counts what became of requests: wanted matches, and of the others those that pass and those that are held back.
type filtered struct{ wanted, passed, held int }

func (f *filtered) draw(t *testing.T, r random, requests int) {
	t.Helper()
	trails := r.trails()
	set := rules.Compile(trails, options())
	entries := gates(t, set)
	for range requests {
		req, name, namespace := r.request()
		matches := set.AppendMatches(nil, &req)
		for _, match := range matches {
			f.wanted++
			if !entries[path(match.FailurePolicy)].passes(t, &req, name, namespace) {
				t.Fatalf("%s wants %+v (sent as %q in %q), but %s holds it back\ntrails: %+v\nentry: %+v",
					match.Trail.Name, req, name, namespace, path(match.FailurePolicy), trails, entries[path(match.FailurePolicy)])
			}
		}
		switch {
		case len(matches) > 0:
		case entries[rules.IgnorePath].passes(t, &req, name, namespace) || entries[rules.FailPath].passes(t, &req, name, namespace):
			f.passed++
		default:
			f.held++
		}
	}
}

// The most expensive conditions are those on groups, for identities with many.
func TestFilterStaysWithinTheCostBudget(t *testing.T) {
	g := NewWithT(t)
	var list []v1alpha1.Rule
	for i := range 8 {
		rule := v1alpha1.Rule{Level: v1alpha1.LevelMetadata}
		for j := range 64 {
			rule.Groups = append(rule.Groups, strings.Repeat("x", 7)+string(rune('a'+i))+strings.Repeat("y", j%4)+"*")
		}
		list = append(list, rule)
	}
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(list...)}, options())
	g.Expect(len(wanted(set.Webhooks(endpoint)))).To(BeNumerically(">", 10<<10), "near the bound of its length")
	groups := slices.Repeat([]string{strings.Repeat("x", 7) + strings.Repeat("z", 300)}, 64)
	req := by("alice", request("CREATE", "", "pods", "", "prod", "x"), groups...)
	g.Expect(set.AppendMatches(nil, &req)).To(BeEmpty())
	g.Expect(gates(t, set)[rules.IgnorePath].passes(t, &req, "x", "prod")).To(BeFalse(), "judged to the end, within a fifth of the budget")
}

// Kinds and field managers are compared again for each rule.
func TestFilterOfKindsStaysWithinTheCostBudget(t *testing.T) {
	g := NewWithT(t)
	var list []v1alpha1.Rule
	for i := range 12 {
		rule := v1alpha1.Rule{Level: v1alpha1.LevelMetadata}
		for j := range 32 {
			rule.Kinds = append(rule.Kinds, fmt.Sprintf("Kind%d-%d", i, j))
			rule.FieldManagers = append(rule.FieldManagers, fmt.Sprintf("m%d*", j))
		}
		list = append(list, rule)
	}
	set := rules.Compile([]v1alpha1.AuditTrail{tenant(list...)}, options())
	g.Expect(len(wanted(set.Webhooks(endpoint)))).To(BeNumerically(">", 10<<10), "near the bound of its length")
	req := request("CREATE", "", "pods", "", "prod", "x")
	req.Kind, req.FieldManager = strings.Repeat("K", 63), strings.Repeat("x", 128)
	g.Expect(gates(t, set)[rules.IgnorePath].passes(t, &req, "x", "prod")).To(BeFalse(), "judged to the end, within a fifth of the budget")
	req.Kind, req.FieldManager = "KIND11-31", "m31"
	g.Expect(gates(t, set)[rules.IgnorePath].passes(t, &req, "x", "prod")).To(BeTrue())
}
