package rules

import (
	"cmp"
	"maps"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
)

// maxSubscribed bounds the resources that a webhook entry lists; past it the entry asks for all. The API server walks
// the list for each request.
const maxSubscribed = 512

// subscription is what the API server is asked for, by resource. Its patterns have the API server's meaning, where
// deployments/* includes deployments.
type subscription map[resource]operations

// add asks for what the rules record.
func (s subscription) add(rules []rule) {
	for i := range rules {
		r := &rules[i]
		if !r.records() || r.operations == 0 {
			continue
		}
		if len(r.resources) == 0 {
			s[resource{group: "*", name: "*", sub: "*"}] |= r.operations
		}
		for _, form := range r.resources {
			s[form] |= r.operations
		}
	}
}

// covers reports whether the API server's reading of r takes in all of other.
func (r *resource) covers(other *resource) bool {
	return (r.group == "*" || r.group == other.group) &&
		(r.name == "*" || r.name == other.name) &&
		(r.sub == "*" || r.sub == other.sub)
}

// rules are the shortest list that covers the subscription, in a fixed order. No pattern beside one that covers it
// remains, which the API server would refuse.
func (s subscription) rules(scope admissionregistrationv1.ScopeType) []admissionregistrationv1.RuleWithOperations {
	if len(s) > maxSubscribed {
		var all operations
		for _, ops := range s {
			all |= ops
		}
		s = subscription{resource{group: "*", name: "*", sub: "*"}: all}
	}
	type key struct {
		group string
		ops   operations
	}
	names := map[key][]string{}
	for form, ops := range s {
		if ops = s.uncovered(form, ops); ops != 0 {
			k := key{form.group, ops}
			names[k] = append(names[k], form.pattern())
		}
	}
	keys := slices.SortedFunc(maps.Keys(names), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.ops, b.ops))
	})
	list := make([]admissionregistrationv1.RuleWithOperations, 0, len(keys))
	for _, k := range keys {
		slices.Sort(names[k])
		list = append(list, admissionregistrationv1.RuleWithOperations{
			Operations: operationTypes(k.ops),
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{k.group}, APIVersions: []string{"*"}, Resources: names[k], Scope: &scope,
			},
		})
	}
	return list
}

// uncovered are the operations on form that no wider pattern asks for already.
func (s subscription) uncovered(form resource, ops operations) operations {
	for other, covered := range s {
		if other != form && other.covers(&form) {
			ops &^= covered
		}
	}
	return ops
}

func (r *resource) pattern() string {
	if r.sub == "" {
		return r.name
	}
	return r.name + "/" + r.sub
}

func operationTypes(ops operations) []admissionregistrationv1.OperationType {
	var types []admissionregistrationv1.OperationType
	for _, word := range ops.words() {
		types = append(types, admissionregistrationv1.OperationType(word))
	}
	return types
}
