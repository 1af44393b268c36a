package gitops

import (
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	samples = "config/samples/gitops"
	// applier is who applies what is in Git.
	applier = "gitops"
)

// The operator that the samples install, seen by the API server's own validation.
func TestTheOperatorOfTheSampleIsAccepted(t *testing.T) {
	g := NewWithT(t)
	objects, err := env.Render(t.Context(), filepath.Join(samples, "operator"))
	g.Expect(err).NotTo(HaveOccurred())
	images := map[string]bool{}
	for _, object := range objects {
		g.Expect(strict(g).Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object),
			client.FieldOwner(applier), client.ForceOwnership, client.DryRunAll)).To(Succeed(), "%s %s", object.GetKind(), object.GetName())
		if object.GetKind() == "CustomResourceDefinition" {
			g.Expect(object.GetAnnotations()).To(And(
				HaveKeyWithValue("kustomize.toolkit.fluxcd.io/prune", "disabled"),
				HaveKeyWithValue("argocd.argoproj.io/sync-options", "Prune=false,Delete=false")))
		}
		if object.GetKind() == "Deployment" {
			containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			g.Expect(err).NotTo(HaveOccurred())
			images[containers[0].(map[string]any)["image"].(string)] = true
		}
	}
	g.Expect(images).To(HaveKey("registry.example.com/trailkeeper-manager:v0.1.0"))
}

// One template makes a trail for each team, each with its own name, log group and role.
func TestATrailForEachTeam(t *testing.T) {
	g := NewWithT(t)
	for _, team := range teams {
		objects, err := env.Render(t.Context(), filepath.Join(samples, "trails", team))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(objects).To(HaveLen(1), "the ConfigMap with the team's name is not applied")
		trail := objects[0]
		g.Expect(trail.GetName()).To(Equal(team))
		g.Expect(trail.GetNamespace()).To(Equal(team))
		for field, want := range map[string]string{"logGroupName": "/audit/" + team, "auth.sts.roleARN": roleARN(team)} {
			path := append([]string{"spec", "cloudWatch"}, strings.Split(field, ".")...)
			value, _, err := unstructured.NestedString(trail.Object, path...)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(value).To(Equal(want))
		}
	}
}

// What is applied again, unforced, is not refused and changes nothing: the operator owns no field that Git has.
func TestTheOperatorWritesNothingThatIsInGit(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	startOperator(t)
	desired, err := env.Render(ctx, filepath.Join(samples, "trails"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(desired).To(HaveLen(len(teams)))
	generations := map[string]int64{}
	for _, object := range desired {
		g.Eventually(ctx, func() error { // The admission policy hears of the grant a moment later.
			return strict(g).Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.FieldOwner(applier))
		}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
		trail := &v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName()}}
		g.Expect(testenv.WaitReady(ctx, admin, trail, patience)).To(Succeed())
		g.Eventually(ctx, func() (bool, error) {
			return testenv.Probe(ctx, admin, trail, trail.Namespace)
		}).WithTimeout(patience).WithPolling(polling).Should(BeTrue())
		generations[trail.Name] = trail.Generation
	}
	for _, object := range desired {
		live := object.DeepCopy()
		g.Expect(strict(g).Apply(ctx, client.ApplyConfigurationFromUnstructured(live), client.FieldOwner(applier))).To(Succeed())
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), live)).To(Succeed())
		g.Expect(live.GetGeneration()).To(Equal(generations[object.GetName()]), "the spec is what it was")
		g.Expect(live.Object["status"]).NotTo(BeEmpty(), "the operator was there")
		g.Expect(specOwners(live)).To(ConsistOf(applier))
		g.Expect(live.GetLabels()).To(BeEmpty())
		g.Expect(live.GetAnnotations()).To(BeEmpty())
	}
}

// specOwners are the field managers that own anything of an object's spec.
func specOwners(object *unstructured.Unstructured) []string {
	var owners []string
	for _, entry := range object.GetManagedFields() {
		if entry.FieldsV1 != nil && strings.Contains(entry.FieldsV1.String(), `"f:spec"`) {
			owners = append(owners, entry.Manager)
		}
	}
	return owners
}
