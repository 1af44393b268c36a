package rules_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func TestActorType(t *testing.T) {
	for _, c := range []struct {
		username string
		groups   []string
		want     v1alpha1.ActorType
	}{
		{"alice", nil, v1alpha1.ActorUser},
		{"", nil, v1alpha1.ActorUser},
		{"system:anonymous", nil, v1alpha1.ActorUser},
		{"system:admin", []string{"system:masters"}, v1alpha1.ActorUser},
		{"kubernetes-admin", []string{"system:masters", "system:nodes"}, v1alpha1.ActorUser},
		{"system:node:n1", []string{"system:nodes", "system:authenticated"}, v1alpha1.ActorNode},
		{"system:node:n1", []string{"system:authenticated"}, v1alpha1.ActorUser},
		{"system:kube-controller-manager", nil, v1alpha1.ActorControlPlane},
		{"system:kube-scheduler", nil, v1alpha1.ActorControlPlane},
		{"system:apiserver", []string{"system:masters"}, v1alpha1.ActorControlPlane},
		{"system:apiserver-proxy", nil, v1alpha1.ActorUser},
		{"system:serviceaccount:kube-system:job-controller", nil, v1alpha1.ActorControlPlane},
		{"system:serviceaccount:kube-system-2:x", nil, v1alpha1.ActorServiceAccount},
		{"system:serviceaccount:ci:deployer", nil, v1alpha1.ActorServiceAccount},
	} {
		t.Run(c.username, func(t *testing.T) {
			NewWithT(t).Expect(rules.ActorType(c.username, c.groups)).To(Equal(c.want))
		})
	}
}
