package plugin_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/trailkeeper/trailkeeper/internal/cli"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func testEvents(t *testing.T) {
	admin := adminKubeconfig(t)
	for name, args := range map[string][]string{
		"table":        {},
		"wide":         {"-o", "wide"},
		"yaml":         {"-o", "yaml", "--name", "web", "--kind", "scale"},
		"json":         {"-o", "json", "--name", "web", "--action", "create"},
		"csv":          {"-o", "csv"},
		"action":       {"--action", "create,delete"},
		"kind":         {"--kind", "DEPLOYMENT"},
		"name":         {"--name", "nginx"},
		"uid":          {"--object-uid", "o-1"},
		"user":         {"--user", "alice"},
		"user-uid":     {"--user", "u-2"},
		"since":        {"--since", "57m30s"},
		"window":       {"--start", "2026-03-02T16:31:00+05:30", "--end", "2026-03-02T11:03:00Z"},
		"outcome":      {"--outcome", "notpersisted,Unknown"},
		"persisted":    {"--outcome", "persisted"},
		"trail":        {"--trail", "security"},
		"newest":       {"--limit", "2"},
		"all":          {"--limit", "0"},
		"nothing":      {"--name", "nobody"},
		"nothing-json": {"--name", "nobody", "-o", "json"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, "events-"+name, plugin(t, admin, append([]string{"events", "-n", shop}, args...)...))
		})
	}
	t.Run("everywhere", func(t *testing.T) { golden(t, "events-everywhere", plugin(t, admin, "events", "-A")) })
	t.Run("colour", func(t *testing.T) {
		golden(t, "events-colour", pluginIn(t, cli.Terminal{Colour: true}, admin, "events", "-n", shop))
	})
	t.Run("wrong", func(t *testing.T) {
		for name, args := range map[string][]string{
			"action": {"--action", "make"}, "start": {"--start", "yesterday"}, "end": {"--start", "2026-03-02", "--end", "2026-03-01"},
			"both": {"--since", "1h", "--start", "2026-03-02"}, "output": {"-o", "xml"}, "limit": {"--limit", "-1"},
			"cloudwatch": {"--from-cloudwatch"},
		} {
			golden(t, "events-wrong-"+name, plugin(t, admin, append([]string{"events", "-n", shop}, args...)...))
		}
	})
}

// testEventsWithFewRights: a user sees what the API server lets them list, and is told which role gives more.
func testEventsWithFewRights(t *testing.T) {
	g := NewWithT(t)
	admin, err := testenv.NewClient(env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	reader, err := env.AddUser("reader")
	g.Expect(err).NotTo(HaveOccurred())
	kubeconfig := kubeconfigOf(t, reader, "reader")
	golden(t, "rights-none", plugin(t, kubeconfig, "events", "-n", shop))
	golden(t, "rights-none-everywhere", plugin(t, kubeconfig, "events", "-A"))

	rights := testenv.Rights(shop, "reader", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "reader"}, rbacv1.PolicyRule{
		APIGroups: []string{"audit.trailkeeper.dev"}, Resources: []string{"auditevents", "audittrails"}, Verbs: []string{"get", "list", "watch"},
	})
	g.Expect(testenv.Create(t.Context(), admin, rights...)).To(Succeed())
	g.Eventually(func() int { return plugin(t, kubeconfig, "events", "-n", shop).code }, patience).Should(BeZero())
	golden(t, "rights-project", plugin(t, kubeconfig, "events", "-n", shop))
	golden(t, "rights-note", plugin(t, kubeconfig, "note", "shop/"+created, "I was here"))
}

func testHistory(t *testing.T) {
	admin := adminKubeconfig(t)
	golden(t, "history-deployment", plugin(t, admin, "history", "deploy/web", "-n", shop))
	golden(t, "history-node", plugin(t, admin, "history", "node", "node-1"))
	golden(t, "history-nothing", plugin(t, admin, "history", "deployment/nobody", "-n", shop))
	golden(t, "history-wrong", plugin(t, admin, "history", "web", "-n", shop))
}

func testNote(t *testing.T) {
	g := NewWithT(t)
	admin := adminKubeconfig(t)
	golden(t, "note-short", plugin(t, admin, "note", "shop/"+scaled, "no"))
	golden(t, "note", plugin(t, admin, "note", "shop/"+scaled, "More", "visitors than expected"))
	got := plugin(t, admin, "show", "shop/"+scaled)
	g.Expect(got.out).To(ContainSubstring("Later note  More visitors than expected"))
}

func testExport(t *testing.T) {
	g := NewWithT(t)
	admin := adminKubeconfig(t)
	golden(t, "export-csv", plugin(t, admin, "export", "-n", shop))
	lines := plugin(t, admin, "export", "-n", shop, "--format", "jsonl", "--name", "web", "--action", "create")
	g.Expect(lines.code).To(BeZero(), lines.err)
	var event struct {
		Spec    struct{ ID string }
		Outcome string
		Source  string
	}
	g.Expect(json.Unmarshal([]byte(lines.out), &event)).To(Succeed())
	g.Expect(event.Spec.ID).To(Equal("change-0"))
	g.Expect([]string{event.Outcome, event.Source}).To(Equal([]string{"Persisted", "Cluster"}))

	path := filepath.Join(t.TempDir(), "march.csv")
	got := pluginIn(t, cli.Terminal{Interactive: true}, admin, "export", "-n", shop, "--start", "2026-03-02", "--file", path)
	g.Expect(got.code).To(BeZero(), got.err)
	g.Expect(got.err).To(And(ContainSubstring("[##"), ContainSubstring("9 events written.")))
	written, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(written)).To(Equal(plugin(t, admin, "export", "-n", shop).out))
	again := plugin(t, admin, "export", "-n", shop, "--file", path)
	g.Expect(again.code).To(Equal(cli.ExitFailed))
	g.Expect(again.err).To(ContainSubstring("file exists"))
}
