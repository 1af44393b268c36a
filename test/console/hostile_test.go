package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/console"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const markup = `"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{7*7}}`

// What an attacker can put into names, notes, user names and diffs does nothing but appear.
func TestHostileDataOnlyAppears(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1440, 900)
	g.Expect(testenv.Create(t.Context(), world.admin, namespace("hostile"))).To(Succeed())
	_, err := record(t.Context(), fact{
		id: "hostile", ago: 30 * time.Second, action: v1alpha1.ActionUpdate, kind: "ConfigMap", place: "hostile", object: "zz" + markup + "\u202egpj.exe\u0007",
		user: markup + "\u202e", note: markup + "\u200b\u2066",
		changes: []v1alpha1.Change{
			replace("/data/"+strings.ReplaceAll(markup, "/", "~1"), strings.Repeat("a", 100_000), strings.Repeat(markup, 1000)),
			{Op: "add", Path: new("/data/javascript:alert(1)"), Value: raw(map[string]any{markup: []any{markup, nil, "\u202e\u0000"}})},
		},
	}, "hostile")
	g.Expect(err).NotTo(HaveOccurred())
	b.signIn(world.tokens["olivia"], "/?own=1&project=hostile")
	g.Expect(eval[[]string](b, theNames)).To(Equal([]string{"zz" + markup + `\u202egpj.exe\u0007`}))
	b.do(chromedp.Click(".row[data-index]"), chromedp.WaitVisible(".change"))
	b.press("Show all 100,000 characters")
	g.Expect(eval[float64](b, `document.querySelector(".change .was bdi").textContent.length`)).To(BeEquivalentTo(100_000))
	g.Expect(eval[string](b, `document.querySelector(".said").textContent`)).To(Equal(markup + `\u200b\u2066`))
	g.Expect(eval[string](b, `document.querySelectorAll(".change")[1].textContent`)).To(ContainSubstring(`\u202e`))
	b.picture("hostile")

	// No text became an element, and nothing is wider than the window.
	g.Expect(eval[float64](b, `document.querySelectorAll("main img, main script, main iframe, main a[href^='javascript']").length`)).To(BeZero())
	g.Expect(eval[bool](b, `"hacked" in window`)).To(BeFalse())
	g.Expect(eval[bool](b, `document.documentElement.scrollWidth <= innerWidth`)).To(BeTrue())

	// Even a mistake of the page's own could not make markup of text, or run it.
	g.Expect(eval[string](b, `(() => { try { document.createElement("div").innerHTML = "<b>"; return "made"; } catch (e) { return e.name; } })()`)).To(Equal("TypeError"))
	b.forgive("TrustedHTML")
}

// No other page may show this one in a frame: the browser asks for it, and then for none of its files.
func TestThePageCannotBeFramed(t *testing.T) {
	b := openBrowser(t, 800, 600)
	page, err := console.New(console.Options{Config: world.env.Admin(), Namespace: tenant})
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	var asked sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Path, true)
		if r.URL.Path == "/other" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<iframe src="/" onload="document.title = 'loaded'"></iframe>`)
			return
		}
		page.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.do(chromedp.Navigate(server.URL + "/other"))
	eventually(t, b, `document.title === "loaded"`)
	paths := map[any]any{}
	asked.Range(func(path, _ any) bool {
		paths[path] = true
		return true
	})
	g.Expect(paths).To(HaveKey("/"))
	g.Expect(paths).NotTo(HaveKey("/main.js"))
}
