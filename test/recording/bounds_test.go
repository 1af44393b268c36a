package recording

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// What the API server takes from a user must fit into an AuditEvent: an event that breaks its own schema would be
// refused, and the change would go unrecorded.

func TestManyGroupsDoNotHideAnActor(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t)
	config := rest.CopyConfig(aliceConfig)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "carol", Groups: []string{"system:masters"}, Extra: map[string][]string{"example.com/roles": nil},
	}
	for i := range 1100 {
		config.Impersonate.Groups = append(config.Impersonate.Groups, fmt.Sprintf("group-%d", i))
		config.Impersonate.Extra["example.com/roles"] = append(config.Impersonate.Extra["example.com/roles"], fmt.Sprintf("role-%d", i))
	}
	carol, err := kubernetes.NewForConfig(config)
	g.Expect(err).NotTo(HaveOccurred())

	_, err = carol.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap("web"), createOptions)
	g.Expect(err).NotTo(HaveOccurred())

	recorded := events(t, namespace, by("carol"))
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Truncated).To(ConsistOf("actor.groups", "actor.extra"))
}

func TestLongNamesDoNotHideAnObject(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newProject(t, v1alpha1.Rule{Level: v1alpha1.LevelChanges})
	// RBAC's names may be of any length.
	long := strings.Repeat("n", 2000)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: long}}

	g.Expect(aliceClient.Create(t.Context(), role)).To(Succeed())

	recorded := events(t, namespace, ofKind("Role"))
	g.Expect(recorded).To(HaveLen(1))
	g.Expect(recorded[0].Resource.UID).To(BeEquivalentTo(role.UID))
	g.Expect(long).To(HavePrefix(recorded[0].Resource.Name))
	g.Expect(recorded[0].Truncated).To(ContainElement("resource.name"))
}
