package api_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestSamplesAreAccepted(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob(filepath.Join(env.Root, "config", "samples", "*.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	listed, err := os.ReadFile(filepath.Join(env.Root, "config", "samples", "kustomization.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(files)).To(BeNumerically(">", 1))
	for _, file := range files {
		name := filepath.Base(file)
		if name == "kustomization.yaml" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(string(listed)).To(ContainSubstring("- "+name+"\n"), "kustomization.yaml leaves it out")
			objects, err := env.Render(t.Context(), filepath.Join("config", "samples", name))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(objects).NotTo(BeEmpty())
			g.Expect(env.Apply(t.Context(), objects...)).To(Succeed())
			admin := clientOf(t, env.Admin())
			for _, object := range objects {
				err := admin.Delete(withoutCancel(t), object)
				g.Expect(client.IgnoreNotFound(err)).To(Succeed())
			}
		})
	}
}

func TestTheWholeInstallationIsAccepted(t *testing.T) {
	g := NewWithT(t)
	objects, err := env.Render(t.Context(), "config/default")
	g.Expect(err).NotTo(HaveOccurred())
	kinds := map[string]bool{}
	admin := clientOf(t, env.Admin())
	for _, object := range objects {
		kinds[object.GetKind()] = true
		configuration := client.ApplyConfigurationFromUnstructured(object)
		// A dry run: a Deployment for which there is no node would only wait.
		err := admin.Apply(t.Context(), configuration, client.FieldOwner("test"), client.ForceOwnership, client.DryRunAll)
		g.Expect(err).NotTo(HaveOccurred(), "%s %s", object.GetKind(), object.GetName())
	}
	g.Expect(kinds).To(And(HaveKey("Deployment"), HaveKey("NetworkPolicy"), HaveKey("Service"), HaveKey("PodDisruptionBudget")))
}
