package gitops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What the samples for Flux and Argo CD name must be in the repository; the kinds themselves are theirs, and not installed here.
func TestPathsAreThere(t *testing.T) {
	g := NewWithT(t)
	root := filepath.Join(env.Root, samples)
	chart := filepath.Join(env.Root, "charts", "trailkeeper")
	g.Expect(chart).To(BeADirectory())
	found := map[string]int{}
	for _, file := range files(t) {
		objects, err := env.Render(t.Context(), file)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(objects).NotTo(BeEmpty())
		for _, object := range objects {
			found[object.GetKind()]++
			for _, path := range paths(g, object) {
				from := root
				if strings.HasPrefix(path, "charts/") {
					from = env.Root
				}
				matches, err := filepath.Glob(filepath.Join(from, path))
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(matches).NotTo(BeEmpty(), "%s: %s", file, path)
			}
		}
	}
	g.Expect(found).To(Equal(map[string]int{
		"GitRepository": 1, "HelmRelease": 1, "Kustomization": 1, "Application": 1, "ApplicationSet": 1, "ConfigMap": 1,
	}))
}

// files are the samples that are not rendered by kustomize.
func files(t *testing.T) []string {
	t.Helper()
	var named []string
	for _, folder := range []string{"flux", "argocd"} {
		entries, err := os.ReadDir(filepath.Join(env.Root, samples, folder))
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		for _, entry := range entries {
			named = append(named, filepath.Join(samples, folder, entry.Name()))
		}
	}
	return named
}

// paths are the folders of the repository that an object names, of which there is one at least but in what only holds settings.
func paths(g *WithT, object *unstructured.Unstructured) []string {
	fields := map[string][][]string{
		"HelmRelease":   {{"spec", "chart", "spec", "chart"}},
		"Kustomization": {{"spec", "path"}},
		"Application":   {{"spec", "source", "path"}},
	}[object.GetKind()]
	var named []string
	for _, field := range fields {
		path, _, err := unstructured.NestedString(object.Object, field...)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(path).NotTo(BeEmpty())
		named = append(named, path)
	}
	if object.GetKind() != "ApplicationSet" {
		return named
	}
	generators, _, err := unstructured.NestedSlice(object.Object, "spec", "generators")
	g.Expect(err).NotTo(HaveOccurred())
	for _, generator := range generators {
		directories, _, err := unstructured.NestedSlice(generator.(map[string]any), "git", "directories")
		g.Expect(err).NotTo(HaveOccurred())
		for _, directory := range directories {
			named = append(named, directory.(map[string]any)["path"].(string))
		}
	}
	g.Expect(named).NotTo(BeEmpty())
	return named
}
