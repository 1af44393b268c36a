package plugin_test

import (
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cli"
)

func testShow(t *testing.T) {
	admin := adminKubeconfig(t)
	for name, event := range map[string]string{
		"create": created, "update": patched, "long-text": replaced, "hostile": hostile, "refused": refused, "secret": secret,
		"notice": notice, "delete": deleted,
	} {
		t.Run(name, func(t *testing.T) { golden(t, "show-"+name, plugin(t, admin, "show", "shop/"+event)) })
	}
	t.Run("colour", func(t *testing.T) {
		golden(t, "show-colour", pluginIn(t, cli.Terminal{Colour: true}, admin, "show", "-n", shop, patched))
	})
	t.Run("found in the operator's namespace", func(t *testing.T) {
		g := NewWithT(t)
		name := strings.TrimSuffix(nodes, nodes[len(nodes)-4:]) + "zzz" + nodes[len(nodes)-1:]
		got := plugin(t, admin, "show", name)
		g.Expect(got.code).To(BeZero(), got.err)
		g.Expect(got.out).To(ContainSubstring("Update Node node-1"))
	})
	t.Run("missing", func(t *testing.T) { golden(t, "show-missing", plugin(t, admin, "show", "-n", shop, "01nothing")) })
}

// testHostileTextCanDoNothing: whatever others wrote, a terminal gets printable characters, line ends and the plugin's colours.
func testHostileTextCanDoNothing(t *testing.T) {
	g := NewWithT(t)
	for _, terminal := range []cli.Terminal{{}, {Colour: true}} {
		got := pluginIn(t, terminal, adminKubeconfig(t), "show", "shop/"+hostile)
		g.Expect(got.code).To(BeZero(), got.err)
		text := got.out
		if terminal.Colour {
			for _, own := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
				text = strings.ReplaceAll(text, own, "")
			}
		}
		for _, r := range text {
			g.Expect(r == '\n' || unicode.IsPrint(r)).To(BeTrue(), "%q is in %q", r, text)
		}
		g.Expect(text).To(ContainSubstring(`mallory\x1b[2J\u202eecila`))
	}
}

func testExplain(t *testing.T) {
	admin := adminKubeconfig(t)
	golden(t, "explain-project", plugin(t, admin, "explain", "shop/shop"))
	golden(t, "explain-tenant", plugin(t, admin, "explain", "security", "-n", "trailkeeper-system"))
}
