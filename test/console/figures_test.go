package console_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/console"
)

const (
	manyEvents = 100_000
	// mostBytes is what the page may take to load, compressed.
	mostBytes = 150_000
)

// TestFigures says what the page costs. Its events are made up and not read from an API server, so that the page is measured and
// nothing else. It asserts sizes and counts only; times depend on who else uses the machine.
func TestFigures(t *testing.T) {
	g := NewWithT(t)
	b := openBrowser(t, 1440, 900)
	page, err := console.New(console.Options{Config: world.env.Admin(), Namespace: tenant})
	g.Expect(err).NotTo(HaveOccurred())
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc("GET /v1alpha1/events", manyEventsPage)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	b.do(chromedp.Navigate(server.URL), chromedp.WaitVisible(".signin textarea"))
	bytes := eval[float64](b, `performance.getEntries().reduce((sum, each) => sum + (each.transferSize ?? 0), 0)`)
	files := eval[float64](b, `performance.getEntriesByType("resource").length + 1`)
	paint := eval[float64](b, `performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1`)
	answered := eval[float64](b, `performance.getEntriesByType("navigation")[0].responseEnd`)
	g.Expect(bytes).To(And(BeNumerically(">", 50_000), BeNumerically("<=", mostBytes)))
	t.Logf("page: %.0f bytes in %.0f files; answered after %.0f ms, first content after %.0f ms", bytes, files, answered, paint)

	began := time.Now()
	b.do(chromedp.SetValue(".signin textarea", world.tokens["olivia"]), chromedp.Click(".signin button.main"))
	eventually(t, b, `document.querySelector(".row[data-index]")`)
	first := time.Since(began)
	g.Eventually(t.Context(), func() string {
		return eval[string](b, `document.querySelector("#summary").textContent`)
	}).WithTimeout(3 * time.Minute).Should(HavePrefix("100,000 changes, as of"))
	t.Logf("100,000 events: first rows after %d ms, all after %d ms", first.Milliseconds(), time.Since(began).Milliseconds())

	filter := eval[float64](b, `new Promise((done) => {
		const began = performance.now(), select = document.querySelector("#filter-action");
		select.value = "Delete";
		select.dispatchEvent(new Event("change"));
		requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
	})`)
	g.Expect(eval[string](b, `document.querySelector("#summary").textContent`)).To(HavePrefix("20,000 changes of 100,000"))
	b.choose("#filter-action", "")
	slowest := eval[float64](b, `new Promise((done) => {
		let last = performance.now(), slowest = 0, frames = 0;
		const step = (now) => {
			slowest = Math.max(slowest, now - last);
			last = now;
			scrollBy(0, 3000);
			if (++frames < 120) requestAnimationFrame(step);
			else done(slowest);
		};
		requestAnimationFrame(step);
	})`)
	g.Expect(eval[float64](b, `document.querySelectorAll(".row[data-index]").length`)).To(BeNumerically("<", 100), "rows out of sight exist")
	t.Logf("filtered table of 100,000: %.0f ms; slowest of 120 frames while scrolling: %.0f ms", filter, slowest)
}

// manyEventsPage answers as the query API does, with events that are made up.
func manyEventsPage(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	query, _ := url.ParseQuery(r.URL.RawQuery)
	from, _ := strconv.Atoi(query.Get("continue"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	end, _ := time.Parse(time.RFC3339, query.Get("endTime"))
	actions := []v1alpha1.Action{v1alpha1.ActionUpdate, v1alpha1.ActionUpdate, v1alpha1.ActionUpdate, v1alpha1.ActionCreate, v1alpha1.ActionDelete}
	var items []*v1alpha1.AuditEvent
	for i := from; i < min(from+limit, manyEvents); i++ {
		ago := time.Since(end) + time.Duration(i+1)*860*time.Millisecond
		items = append(items, eventOf(fact{
			id:  strconv.Itoa(i),
			ago: ago, action: actions[i%len(actions)], kind: "ConfigMap", place: fmt.Sprintf("project-%d", i%40), object: fmt.Sprintf("object-%d", i%977),
			user: fmt.Sprintf("user-%d@example.com", i%60), changes: []v1alpha1.Change{replace("/data/key", i, i+1)},
		}, tenant))
	}
	next := ""
	if from+limit < manyEvents {
		next = strconv.Itoa(from + limit)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "metadata": map[string]any{"continue": next}})
}
