package delivery

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// manyCreated are creations of so many objects in one place.
func manyCreated(count int) []Event {
	events := make([]Event, count)
	for i := range events {
		events[i] = Event{Head: *head(v1alpha1.ActionCreate, "u"+strconv.Itoa(i))}
		events[i].Head.Resource.Name = "web-" + strconv.Itoa(i)
		events[i].Head.Resource.ResourceVersion = ""
		events[i].ResourceVersion = uint64(i) + 1
	}
	return events
}

func TestManyObjectsOfOnePlaceAreReadByAList(t *testing.T) {
	g := NewWithT(t)
	events := manyCreated(surveyFrom)
	objects := &fakeObjects{complete: true, shown: map[string]sight{}}
	for i := range events[:surveyFrom-1] { // the last one was refused after it was recorded
		ref := &events[i].Head.Resource
		objects.shown[ref.Name] = seen(ref.UID, "8")
	}
	j, _ := newJudge(objects)
	judgements := judgeAll(j, t.Context(), events, nil)
	g.Expect(judgements[:surveyFrom-1]).To(HaveEach(persisted))
	g.Expect(judgements[surveyFrom-1]).To(Equal(notPersisted))
	g.Expect(objects.surveys).To(Equal(1))
	g.Expect(objects.reads).To(BeEmpty())
}

func TestAFewObjectsAreReadOneByOne(t *testing.T) {
	g := NewWithT(t)
	objects := &fakeObjects{cached: seen("u0", "8")}
	j, _ := newJudge(objects)
	judgeAll(j, t.Context(), manyCreated(surveyFrom-1), nil)
	g.Expect(objects.surveys).To(BeZero())
	g.Expect(len(objects.reads)).To(BeNumerically(">=", surveyFrom-1))
}

// TestAListThatIsRefusedOrTooLong: what it did not show is read, and the list is not asked for again at once. It is said
// once, not for each batch.
func TestAListThatIsRefusedOrTooLong(t *testing.T) {
	for name, test := range map[string]struct {
		objects *fakeObjects
		cause   error
	}{
		"refused":  {&fakeObjects{refusing: errAway}, errAway},
		"too long": {&fakeObjects{}, errTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects := test.objects
			var said []string
			ctx := log.IntoContext(t.Context(), funcr.New(func(_, line string) { said = append(said, line) }, funcr.Options{Verbosity: 1}))
			events := manyCreated(surveyFrom)
			objects.shown = map[string]sight{"web-0": seen("u0", "8")}
			objects.consistent = seen("another", "9")
			j, clock := newJudge(objects)
			judgements := judgeAll(j, ctx, events, nil)
			g.Expect(judgements[0]).To(Equal(persisted), "the list showed it")
			g.Expect(judgements[1:]).To(HaveEach(notPersisted))
			g.Expect(objects.reads).To(HaveLen(2*(surveyFrom-1)), "each was read from the cache, and then consistently")

			judgeAll(j, ctx, events, nil)
			g.Expect(objects.surveys).To(Equal(1))
			g.Expect(said).To(ConsistOf(And(ContainSubstring("one by one"), ContainSubstring(test.cause.Error()))))
			clock.SetTime(clock.Now().Add(forbiddenFor + time.Second))
			judgeAll(j, ctx, events, nil)
			g.Expect(objects.surveys).To(Equal(2))
		})
	}
}

// TestAGlanceServesABacklog: what was read for the first events serves those that were due by then, and no others.
func TestAGlanceServesABacklog(t *testing.T) {
	g := NewWithT(t)
	objects := &fakeObjects{cached: seen("u1", "8")}
	j, clock := newJudge(objects)
	j.settle = time.Second
	event := *changed(v1alpha1.ActionCreate, "u1")
	event.Seen = clock.Now().Add(-time.Second)
	judge := func(event Event) {
		g.Expect(judgeAll(j, t.Context(), []Event{event}, nil)).To(Equal([]ledger.Judgement{persisted}))
	}

	j.keepGlance()
	judge(event)
	judge(event)
	g.Expect(objects.reads).To(HaveLen(1))

	clock.SetTime(clock.Now().Add(time.Minute))
	later := event
	later.Seen = event.Seen.Add(time.Millisecond)
	judge(later)
	g.Expect(objects.reads).To(HaveLen(2), "it was not due when the first glance began")
	judge(later)
	g.Expect(objects.reads).To(HaveLen(2))

	j.dropGlance()
	judge(later)
	g.Expect(objects.reads).To(HaveLen(3))
}

// pagedServer lists ConfigMaps, of so many bytes each, in pages.
func pagedServer(t *testing.T, count, size int) (_ *objects, requests *[]string) {
	t.Helper()
	requests = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.URL.Path+" "+r.Header.Get("Accept"))
		first, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		last := min(first+limit, count)
		var items []any
		for i := first; i < last; i++ {
			items = append(items, map[string]any{
				"metadata": map[string]any{"name": fmt.Sprintf("web-%d", i), "uid": fmt.Sprintf("u%d", i)},
				"data":     strings.Repeat("x", size),
			})
		}
		metadata := map[string]any{"resourceVersion": "9"}
		if last < count {
			metadata["continue"], metadata["remainingItemCount"] = strconv.Itoa(last), count-last
		}
		// As for custom resources, the items come first.
		_ = json.NewEncoder(w).Encode(map[string]any{"items": items, "metadata": metadata})
	}))
	t.Cleanup(server.Close)
	client, err := rest.UnversionedRESTClientFor(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{
		GroupVersion: &schema.GroupVersion{Version: "v1"}, NegotiatedSerializer: clientgoscheme.Codecs.WithoutConversion(),
	}})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &objects{client: client}, requests
}

func TestSurvey(t *testing.T) {
	tests := map[string]struct {
		count, size int
		whole       bool
		complete    bool
		pages, seen int
	}{
		"one page":                 {100, 10, false, true, 1, 64},
		"whole objects":            {100, 10, true, true, 1, 64},
		"two pages":                {900, 10, false, true, 2, 64},
		"far more than are wanted": {surveyLimit + surveyShare*65 + 1, 10, false, false, 1, 64},
		"large objects":            {400, 4000, true, false, 1, 64},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects, requests := pagedServer(t, test.count, test.size)
			wanted := map[string]bool{"absent": true}
			for i := range 64 {
				wanted["web-"+strconv.Itoa(i)] = true
			}
			ref := &v1alpha1.ResourceReference{Group: "apps", Version: "v1", Resource: "deployments", Namespace: "shop"}
			found := map[string]sight{}
			complete, err := objects.survey(t.Context(), ref, 0, test.whole, wanted, func(name string, s sight) { found[name] = s })
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(complete).To(Equal(test.complete))
			g.Expect(*requests).To(HaveLen(test.pages))
			g.Expect((*requests)[0]).To(HavePrefix("/apis/apps/v1/namespaces/shop/deployments application/json"))
			g.Expect(strings.Contains((*requests)[0], "PartialObjectMetadataList")).To(Equal(!test.whole))
			g.Expect(found).To(HaveLen(test.seen))
			for name, s := range found {
				g.Expect("u" + strings.TrimPrefix(name, "web-")).To(Equal(string(s.meta.UID)))
				g.Expect(len(s.body) > 0).To(Equal(test.whole))
			}
		})
	}
}
