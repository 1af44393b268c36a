package jsonclient

import (
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
)

// TestWarningsAreLeftAlone: what others change may be of versions that the API server warns of at each reading.
func TestWarningsAreLeftAlone(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Warning", `299 - "v1 Endpoints is deprecated"`)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	heard := &warnings{}
	rest.SetDefaultWarningHandler(heard)
	defer rest.SetDefaultWarningHandler(rest.WarningLogger{})
	c, err := New(&rest.Config{Host: server.URL})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Get().AbsPath("/api/v1/namespaces/a/endpoints/b").Do(t.Context()).Error()).To(Succeed())
	g.Expect(heard.texts).To(BeEmpty())
}

type warnings struct{ texts []string }

func (w *warnings) HandleWarningHeader(_ int, _, text string) { w.texts = append(w.texts, text) }
