package rules

import (
	"slices"
	"strconv"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// The parts of a request as CEL sees it in a matchCondition. The API server leaves empty fields out of it, and reading
// one that is absent is an error, which under Ignore silently skips the webhook: hence the optional selections, which
// every supported API server (1.32) knows.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions
const (
	celOperation   = "request.operation"
	celGroup       = "request.resource.group"
	celResource    = "request.resource.resource"
	celSubresource = "request.?subResource.orValue('')"
	celPath        = celGroup + " + '/' + " + celResource + " + '/' + " + celSubresource
	celNamespace   = "request.?namespace.orValue('')"
	celName        = "request.?name.orValue('')"
	celUsername    = "request.userInfo.?username.orValue('')"
	celUserGroups  = "request.userInfo.?groups.orValue([])"
	// Kinds consist of ASCII: the API server makes sure of it for CustomResourceDefinitions too.
	celKind = "request.kind.kind.lowerAscii()"
	// A connection's options are null.
	celFieldManager = "request.?options.orValue(null) != null ? request.options.?fieldManager.orValue('') : ''"

	celTrue, celFalse = "true", "false"
)

// maxGroupsInFilter bounds what comparing groups can cost: an identity with more groups is let through and judged by the
// recorder. An expression past the API server's budget (2,500,000 units a call) would be an error.
const maxGroupsInFilter = 64

// wanted is a CEL expression that is true for every request that the trail's rules record, whatever its namespace, and
// for as few others as CEL can tell. Where a condition cannot be judged in the API server, a rule that records counts as
// matching and a rule that leaves out as not matching.
func (t *CompiledTrail) wanted() string {
	expression := celFalse
	for i := len(t.rules) - 1; i >= 0; i-- {
		condition := t.rules[i].condition()
		if t.rules[i].records() {
			expression = or(condition, expression)
		} else {
			expression = and(not(condition), expression)
		}
	}
	return expression
}

// condition is the rule in CEL: too wide where it records, too narrow where it leaves out.
func (r *rule) condition() string {
	return and(
		r.operationCondition(),
		resourceCondition(r.resources),
		r.kindCondition(),
		actorCondition(r.actors),
		r.namespaceCondition(),
		r.nameCondition(),
		nameIn(celUsername, r.users),
		r.fieldManagerCondition(),
		r.groupCondition(),
		r.selectorCondition(),
	)
}

func (r *rule) operationCondition() string {
	if r.operations == opAll {
		return celTrue
	}
	return in(celOperation, r.operations.words())
}

// resourceCondition compares all fully named resources at once, and those with a * one by one.
func resourceCondition(list []resource) string {
	if len(list) == 0 {
		return celTrue
	}
	var named, conditions []string
	for _, form := range list {
		if form.group != "*" && form.name != "*" && form.sub != "*" {
			named = append(named, form.group+"/"+form.name+"/"+form.sub)
			continue
		}
		conditions = append(conditions, and(
			unlessStar(celGroup, form.group),
			unlessStar(celResource, form.name),
			subresourceCondition(form),
		))
	}
	return or(in(celPath, named), or(conditions...))
}

func (r *rule) kindCondition() string {
	if len(r.kinds) == 0 {
		return celTrue
	}
	return in(celKind, r.kinds)
}

// fieldManagerCondition names the long expression once, so that a few patterns do not use up the filter's length.
func (r *rule) fieldManagerCondition() string {
	if r.fieldManagers.certain() {
		return celTrue
	}
	return "[" + celFieldManager + "].exists(m, " + nameIn("m", r.fieldManagers) + ")"
}

func unlessStar(subject, value string) string {
	if value == "*" {
		return celTrue
	}
	return in(subject, []string{value})
}

func subresourceCondition(form resource) string {
	switch {
	case form.sub == "*" && form.name == "*":
		return celTrue
	case form.sub == "*":
		return celSubresource + " != ''"
	default:
		return in(celSubresource, []string{form.sub})
	}
}

// actorCondition follows ActorType. Users are whoever is none of the others.
func actorCondition(actors []v1alpha1.ActorType) string {
	if len(actors) == 0 {
		return celTrue
	}
	users := slices.Contains(actors, v1alpha1.ActorUser)
	var conditions []string
	for _, actor := range allActors[1:] {
		if slices.Contains(actors, actor) != users {
			conditions = append(conditions, machineCondition(actor))
		}
	}
	if users {
		return not(or(conditions...))
	}
	return or(conditions...)
}

// machineCondition is the condition for an actor that is not a user.
func machineCondition(actor v1alpha1.ActorType) string {
	kubeSystemAccount := startsWith(celUsername, kubeSystemPrefix)
	switch actor {
	case v1alpha1.ActorNode:
		return and(startsWith(celUsername, nodePrefix), quote(nodesGroup)+" in "+celUserGroups)
	case v1alpha1.ActorControlPlane:
		return or(startsWith(celUsername, kubePrefix), in(celUsername, []string{apiServerUser}), kubeSystemAccount)
	default:
		return and(startsWith(celUsername, serviceAccountPrefix), not(kubeSystemAccount))
	}
}

// namespaceCondition compares the object's namespace. A Namespace's request carries its own name there although the
// object has no namespace, so a rule that leaves out must not match it.
func (r *rule) namespaceCondition() string {
	if r.namespaces.absent() {
		return celTrue
	}
	condition := and(celNamespace+" != ''", nameIn(celNamespace, r.namespaces))
	if !r.records() && r.matchesNamespaceObjects() {
		condition = and(condition, not(and(in(celGroup, []string{""}), in(celResource, []string{"namespaces"}))))
	}
	return condition
}

func (r *rule) matchesNamespaceObjects() bool {
	return len(r.resources) == 0 || slices.ContainsFunc(r.resources, func(form resource) bool {
		return (form.group == "" || form.group == "*") && (form.name == "namespaces" || form.name == "*")
	})
}

// nameCondition compares the object's name, which the request lacks for generated names and deletecollection.
func (r *rule) nameCondition() string {
	if r.names.absent() {
		return celTrue
	}
	if r.records() {
		return or(celName+" == ''", nameIn(celName, r.names))
	}
	return and(celName+" != ''", nameIn(celName, r.names))
}

func (r *rule) groupCondition() string {
	if r.groups.absent() {
		return celTrue
	}
	matches := celUserGroups + ".exists(g, " + nameIn("g", r.groups) + ")"
	if r.records() {
		return or("size("+celUserGroups+") > "+strconv.Itoa(maxGroupsInFilter), matches)
	}
	return and("size("+celUserGroups+") <= "+strconv.Itoa(maxGroupsInFilter), matches)
}

// selectorCondition stands for a namespaceSelector: a matchCondition does not see the namespace's labels.
func (r *rule) selectorCondition() string {
	if !r.byLabels || r.records() {
		return celTrue
	}
	return celFalse
}

func nameIn(subject string, p patterns) string {
	if p.absent() {
		return celTrue
	}
	conditions := []string{in(subject, p.exact)}
	for _, prefix := range p.prefixes {
		conditions = append(conditions, startsWith(subject, prefix))
	}
	return or(conditions...)
}
