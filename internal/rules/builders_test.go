package rules_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

const operatorNamespace = "trailkeeper-system"

// options know one namespace, prod.
func options() rules.Options {
	return rules.Options{
		OperatorNamespace: operatorNamespace,
		OperatorUsername:  rules.ServiceAccountUsername(operatorNamespace),
		NamespaceLabels: func(name string) (labels.Set, bool) {
			if name == "prod" {
				return labels.Set{"tier": "gold"}, true
			}
			return nil, false
		},
	}
}

func trail(namespace, name string, list ...v1alpha1.Rule) v1alpha1.AuditTrail {
	return v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), Generation: 1},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly, Rules: list},
	}
}

func tenant(list ...v1alpha1.Rule) v1alpha1.AuditTrail {
	return trail(operatorNamespace, "t", list...)
}

func failing(t v1alpha1.AuditTrail) v1alpha1.AuditTrail {
	t.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
	return t
}

// request is what alice, a user, asks for.
func request(operation, group, resource, sub, namespace, name string) rules.Request {
	return rules.Request{
		Operation: operation, Group: group, Version: "v1", Resource: resource, Subresource: sub,
		Namespace: namespace, Name: name, Username: "alice", Groups: []string{"system:authenticated", "dev-team"},
		ActorType: v1alpha1.ActorUser,
	}
}

func by(username string, req rules.Request, groups ...string) rules.Request {
	req.Username, req.Groups = username, groups
	req.ActorType = rules.ActorType(username, groups)
	return req
}

func only(group string, names ...string) []v1alpha1.GroupResources {
	return []v1alpha1.GroupResources{{Group: group, Resources: names}}
}
