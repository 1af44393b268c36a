package query

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// A list that would take too much memory is not read to its end.
func TestAListIsBounded(t *testing.T) {
	for size, want := range map[int]error{1 << 10: nil, maxListBytes: errTooLarge} {
		g := NewWithT(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"items":[{"metadata":{"name":"a","managedFields":[{"manager":"m"}]},"spec":{"note":"` + strings.Repeat("x", size) + `"}}]}`))
		}))
		t.Cleanup(server.Close)
		reader, err := NewReader(&rest.Config{Host: server.URL}, nil)
		g.Expect(err).NotTo(HaveOccurred())
		var list v1alpha1.AuditEventList
		err = reader.List(t.Context(), &list, client.InNamespace("shop"))
		if want != nil {
			g.Expect(err).To(MatchError(want))
			continue
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(list.Items).To(HaveLen(1))
		g.Expect(list.Items[0].Spec.Note).To(HaveLen(size))
		g.Expect(list.Items[0].ManagedFields).To(BeEmpty())
	}
}

// Where large events follow small ones, pages that were right for those are asked for again, smaller.
func TestLargeEventsAfterSmallOnes(t *testing.T) {
	g := NewWithT(t)
	events := manyEvents(rand.New(rand.NewPCG(3, 3)), 2000)
	last := events[len(events)-1].Spec.Time.Time
	for i := range 300 {
		large := event(last.Add(time.Duration(i+1)*time.Second), 10_000+i)
		large.Spec.Object = &runtime.RawExtension{Raw: []byte(`"` + strings.Repeat("x", 160<<10) + `"`)}
		events = append(events, large)
	}
	for _, newest := range []bool{false, true} {
		query := &Query{Newest: newest, Places: []Place{&Cluster{Reader: &fakeAPI{events: events}, Namespace: "shop", Memory: NewMemory()}}}
		var got []string
		for row, err := range query.Rows(t.Context(), nil, 0, 0) {
			g.Expect(err).NotTo(HaveOccurred())
			got = append(got, row.Event.Name)
		}
		g.Expect(got).To(Equal(wantedNames(events, &Filter{}, newest)))
	}
}
