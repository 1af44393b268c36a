package console_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// theNames are those of the objects in sight.
	theNames = `[...document.querySelectorAll(".row[data-index] .name")].map((each) => each.textContent)`
	checkout = `//*[@data-index][.//*[text()="checkout"]][.//*[text()="people/olivia"]]`
)

func TestAWrongTokenIsRefused(t *testing.T) {
	b := openBrowser(t, 1280, 800)
	b.open("/")
	b.do(chromedp.WaitVisible(".signin textarea"))
	b.picture("sign-in")
	b.do(chromedp.SetValue(".signin textarea", "no.such.token"), chromedp.Click(".signin button.main"))
	eventually(t, b, `document.querySelector(".signin .problem").textContent.includes("does not know this token")`)
	g := NewWithT(t)
	g.Expect(eval[string](b, `JSON.stringify({...sessionStorage})`)).To(Equal("{}"), "the token is kept")
	g.Expect(eval[string](b, `document.cookie`)).To(BeEmpty())
	g.Expect(eval[float64](b, `localStorage.length`)).To(BeZero())
}

// Whoever may read one project only is told so, and finds the way there.
func TestRightsDecideWhatIsShown(t *testing.T) {
	b := openBrowser(t, 1280, 800)
	b.signIn(world.tokens["sam"], "/")
	eventually(t, b, `document.querySelector(".notice h2")?.textContent.includes("may not read the changes of the whole cluster")`)
	b.picture("no-rights")
	b.do(chromedp.SendKeys(".notice input", "shop"+kb.Enter))
	eventually(t, b, `location.search.includes("project=shop") && document.querySelectorAll(".row[data-index]").length > 3`)
	NewWithT(t).Expect(eval[bool](b, `[...document.querySelectorAll(".row[data-index]")].every((row) => row.textContent.includes(" in shop"))`)).To(BeTrue())

	b.open("/?own=1&project=payments")
	eventually(t, b, `document.querySelector(".notice h2")?.textContent.includes("may not read the changes of payments")`)
}

func TestFiltersLiveInTheAddress(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1440, 900)
	b.signIn(world.tokens["olivia"], "/")
	b.picture("changes")
	all := eval[string](b, `document.querySelector("#summary").textContent`)

	b.choose("#filter-kind", "Ingress")
	eventually(t, b, `location.search === "?kind=Ingress" && document.querySelectorAll(".row[data-index]").length === 1`)
	g.Expect(eval[[]string](b, theNames)).To(Equal([]string{"public"}))
	b.choose("#filter-action", "Delete")
	eventually(t, b, `document.querySelector(".notice h2")?.textContent === "No change fits"`)
	b.do(chromedp.NavigateBack())
	eventually(t, b, `document.querySelectorAll(".row[data-index]").length === 1`)
	b.do(chromedp.NavigateBack())
	eventually(t, b, `document.querySelector("#summary").textContent === `+quote(all))

	b.open("/?user=" + olivia + "&project=shop&find=checkout")
	b.settled()
	g.Expect(eval[[]string](b, theNames)).To(Equal([]string{"checkout"}))
	g.Expect(eval[string](b, `document.querySelector("#filter-user").value`)).To(Equal(olivia))
}

func TestAPeriodIsChosenOnTheTimeline(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1440, 900)
	b.signIn(world.tokens["olivia"], "/")
	count := `Number(document.querySelector("#summary").textContent.split(" ")[0].replace(",", ""))`
	all := eval[float64](b, count)
	g.Expect(all).To(BeNumerically(">", 600))

	box := eval[[]float64](b, `(() => { const b = document.querySelector(".plot").getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()`)
	y := box[1] + box[3]/2
	b.do(chromedp.DragAndDropXY(box[0]+box[2]*.4, y, box[0]+box[2]*.6, y))
	eventually(t, b, `location.search.includes("start=") && document.querySelector("#summary").textContent.includes(" of ")`)
	part := eval[float64](b, count)
	g.Expect(part).To(And(BeNumerically(">", 0), BeNumerically("<", all)))
	g.Expect(eval[string](b, `document.querySelector(".period select").value`)).To(Equal("own"))

	// The same by keyboard, from the end of the period.
	b.do(chromedp.Focus(".plot"), chromedp.KeyEvent(kb.End))
	for range 5 {
		b.do(chromedp.KeyEvent(kb.ArrowLeft, chromedp.KeyModifiers(8))) // Shift
	}
	g.Expect(eval[string](b, `document.querySelector("#announcer").textContent`)).To(ContainSubstring(" to "))
	before := eval[string](b, `location.search`)
	b.do(chromedp.KeyEvent(kb.Enter))
	eventually(t, b, `location.search !== `+quote(before))
	g.Expect(eval[float64](b, count)).To(BeNumerically("<", part))
}

func TestAChangeIsOpenedAndExplained(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1440, 900)
	b.signIn(world.tokens["olivia"], "/")
	b.do(chromedp.Click(checkout), chromedp.WaitVisible(".change"))
	g.Expect(eval[string](b, `document.querySelector("#detail-title").textContent`)).To(Equal("people/olivia changed Deployment checkout in shop"))
	g.Expect(eval[[]string](b, `[...document.querySelectorAll(".change mark")].map((each) => each.textContent)`)).To(ContainElements("4.0", "3.2"))
	g.Expect(eval[[]string](b, `[...document.querySelectorAll(".change .path")].map((each) => each.textContent)`)).To(ContainElement("metadata › annotations › rollback/of"))
	eventually(t, b, `document.querySelectorAll(".near li").length > 1`)
	b.picture("change")

	const note = "Rolled back: 2.14.0 loses carts <b>INC-204</b>"
	b.do(chromedp.SendKeys(".note textarea", note))
	b.press("Save the note")
	eventually(t, b, `document.querySelector(".said")?.textContent === `+quote(note))
	place, name, _ := strings.Cut(eval[string](b, `new URLSearchParams(location.search).get("event")`), "/")
	var event v1alpha1.AuditEvent
	g.Expect(world.admin.Get(t.Context(), client.ObjectKey{Namespace: place, Name: name}, &event)).To(Succeed())
	g.Expect(event.Annotations).To(HaveKeyWithValue(v1alpha1.NoteAnnotation, note))

	// The address opens the same change for somebody else, and Escape puts the focus back where it was.
	b.do(chromedp.Reload())
	b.settled()
	eventually(t, b, `document.querySelector(".said")?.textContent === `+quote(note))
	b.do(chromedp.Focus(".detail h2"), chromedp.KeyEvent(kb.Escape))
	eventually(t, b, `document.querySelector(".detail").hidden && document.activeElement.matches(".row")`)
}

func TestTheTableIsWalkedByKeyboard(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1280, 800)
	b.signIn(world.tokens["olivia"], "/")
	b.do(chromedp.Focus(`.row[tabindex="0"]`), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown))
	g.Expect(eval[string](b, `document.activeElement.dataset.index`)).To(Equal("2"))
	b.do(chromedp.KeyEvent(kb.End))
	last := eval[string](b, `document.activeElement.getAttribute("aria-rowindex")`)
	g.Expect(eval[string](b, `document.querySelector("[role=grid]").getAttribute("aria-rowcount")`)).To(Equal(last))
	b.do(chromedp.KeyEvent(kb.Enter))
	eventually(t, b, `document.activeElement.id === "detail-title"`)
}

// The file is what the API itself answers.
func TestTheCSVFileIsTheAPIs(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1280, 800)
	dir := t.TempDir()
	_, err := within(b, func(ctx context.Context, tab *chromedp.Target) (chromedp.Void, error) {
		return cdp.Call(ctx, tab, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir})
	})
	g.Expect(err).NotTo(HaveOccurred())
	b.signIn(world.tokens["olivia"], "/?kind=Ingress")
	b.press("Download CSV")
	var files []string
	g.Eventually(t.Context(), func() []string {
		files, _ = filepath.Glob(filepath.Join(dir, "*.csv"))
		return files
	}).WithTimeout(patience).Should(HaveLen(1))
	saved, err := os.ReadFile(files[0])
	g.Expect(err).NotTo(HaveOccurred())

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, world.server.URL+"/v1/audits.csv?resourceKind=Ingress", http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+world.tokens["olivia"])
	answer, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	want, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(saved)).To(Equal(string(want)))
	g.Expect(strings.Count(string(want), "\n")).To(BeNumerically(">", 1), "the file has a change in it")
}
