package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"
)

// stepTimeout bounds one thing that is done in the browser.
const stepTimeout = 30 * time.Second

// browser is one tab of a browser that nobody used before.
type browser struct {
	t   *testing.T
	ctx context.Context

	mutex    sync.Mutex
	problems []string
}

// browserPath is Chromium's program; "" when it is not installed.
func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// openBrowser starts a browser with a window of this size. The test fails when the page throws, or breaks its own policy.
func openBrowser(t *testing.T, width, height int) *browser {
	t.Helper()
	path := browserPath()
	if path == "" {
		if os.Getenv("TRAILKEEPER_REQUIRE_BROWSER") != "" {
			t.Fatal("chromium is not installed, and TRAILKEEPER_REQUIRE_BROWSER is set")
		}
		t.Skip("SKIPPED: the console was not tried in a browser, as chromium is not on PATH (apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(width, height), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Env("TZ=Europe/Berlin", "LANGUAGE=en_GB"),
	)
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx}
	// The first use starts the browser, which lives as long as that use's context.
	NewWithT(t).Expect(chromedp.Do(ctx)).To(Succeed())
	NewWithT(t).Expect(chromedp.Listen(ctx, b.listen)).To(Succeed())
	b.do(chromedp.EmulateViewport(int64(width), int64(height)))
	t.Cleanup(func() {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		if len(b.problems) > 0 {
			t.Errorf("The page complained:\n%s", strings.Join(b.problems, "\n"))
		}
	})
	return b
}

// listen keeps what the browser says of the page. That the server refused something is not the page's fault, nor that another
// page tried to frame it.
func (b *browser) listen(event any) {
	var problem string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		problem = e.ExceptionDetails.Text
		if thrown := e.ExceptionDetails.Exception; thrown != nil {
			problem += " " + thrown.Description
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork && !strings.HasPrefix(e.Entry.Text, "Framing ") {
			problem = e.Entry.Text
		}
	case *page.EventJavascriptDialogOpening:
		problem = "a dialog opened: " + e.Message
	}
	if problem != "" {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		b.problems = append(b.problems, problem)
	}
}

// do does one thing after another in the browser, each within stepTimeout.
func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		_, err := within(b, step)
		NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	}
}

func within[T any](b *browser, step chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, stepTimeout)
	defer cancel()
	return chromedp.Run(ctx, step)
}

// eval is the value of an expression of the page; a promise is waited for.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := within(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred(), expression)
	return value
}

// open goes to an address of the page.
func (b *browser) open(address string) {
	b.t.Helper()
	b.do(chromedp.Navigate(world.server.URL + address))
}

// signIn signs in by the form, and waits until changes or a notice are shown.
func (b *browser) signIn(token, address string) {
	b.t.Helper()
	b.open(address)
	b.do(chromedp.WaitVisible(".signin textarea"), chromedp.SetValue(".signin textarea", token), chromedp.Click(".signin button.main"),
		chromedp.WaitVisible("#pages"))
	b.settled()
}

// settled waits until everything was read and drawn.
func (b *browser) settled() {
	b.t.Helper()
	eventually(b.t, b, `!document.querySelector("[data-busy], .bone") && document.querySelector(".row[data-index], .notice, .trail h2")`)
}

// press clicks the button of this name.
func (b *browser) press(name string) {
	b.t.Helper()
	path := fmt.Sprintf(`//button[normalize-space()=%[1]q or @aria-label=%[1]q][not(@hidden)]`, name)
	b.do(chromedp.Click(path))
}

// published are the pictures that docs/ shows.
var published = map[string]bool{
	"changes": true, "change-light": true, "change-dark": true, "trails": true, "new-trail": true, "phone": true, "no-rights": true,
}

// picture keeps what the window shows, as output of the test; where TRAILKEEPER_PICTURES names a folder, as a picture for docs/.
func (b *browser) picture(name string) {
	b.t.Helper()
	png, err := within(b, chromedp.CaptureScreenshot())
	NewWithT(b.t).Expect(err).NotTo(HaveOccurred())
	dir := filepath.Join(world.env.Root, "out", "console")
	if wanted := os.Getenv("TRAILKEEPER_PICTURES"); wanted != "" && published[name] {
		dir = filepath.Join(world.env.Root, wanted)
	}
	NewWithT(b.t).Expect(os.MkdirAll(dir, 0o750)).To(Succeed())
	NewWithT(b.t).Expect(os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)).To(Succeed())
}

// forgive waits until the page has complained of this, as it was meant to, and forgets it.
func (b *browser) forgive(what string) {
	b.t.Helper()
	NewWithT(b.t).Eventually(b.t.Context(), func() bool {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		before := len(b.problems)
		b.problems = slices.DeleteFunc(b.problems, func(problem string) bool { return strings.Contains(problem, what) })
		return len(b.problems) < before
	}).WithTimeout(patience).Should(BeTrue(), "the page does not complain of "+what)
}

// choose sets a select as a person does.
func (b *browser) choose(selector, value string) {
	b.t.Helper()
	_ = eval[bool](b, fmt.Sprintf(`(() => {
		const select = document.querySelector(%q);
		select.value = %q;
		return select.dispatchEvent(new Event("change"));
	})()`, selector, value))
}

// write replaces what is in an input of a dialog.
func (b *browser) write(name, value string) {
	b.t.Helper()
	selector := fmt.Sprintf("dialog [name=%s]", name)
	_ = eval[bool](b, fmt.Sprintf(`(() => {
		const input = document.querySelector(%q);
		input.value = "";
		return input.dispatchEvent(new Event("input"));
	})()`, selector))
	b.do(chromedp.SendKeys(selector, value))
}

// quote is a text as an expression of the page.
func quote(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}
