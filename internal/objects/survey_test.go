package objects

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// pagedServer lists ConfigMaps, of so many bytes each, in pages.
func pagedServer(t *testing.T, count, size int) (_ *server, requests *[]string) {
	t.Helper()
	requests = &[]string{}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	t.Cleanup(api.Close)
	client, err := rest.UnversionedRESTClientFor(&rest.Config{Host: api.URL, ContentConfig: rest.ContentConfig{
		GroupVersion: &schema.GroupVersion{Version: "v1"}, NegotiatedSerializer: clientgoscheme.Codecs.WithoutConversion(),
	}})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &server{client: client}, requests
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
			found := map[string]Sight{}
			complete, err := objects.Survey(t.Context(), ref, 0, test.whole, wanted, func(name string, s Sight) { found[name] = s })
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(complete).To(Equal(test.complete))
			g.Expect(*requests).To(HaveLen(test.pages))
			g.Expect((*requests)[0]).To(HavePrefix("/apis/apps/v1/namespaces/shop/deployments application/json"))
			g.Expect(strings.Contains((*requests)[0], "PartialObjectMetadataList")).To(Equal(!test.whole))
			g.Expect(found).To(HaveLen(test.seen))
			for name, s := range found {
				g.Expect("u" + strings.TrimPrefix(name, "web-")).To(Equal(string(s.Meta.UID)))
				g.Expect(len(s.Body) > 0).To(Equal(test.whole))
			}
		})
	}
}
