package objects

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// TestWhatTheAPIServerForgot: it says so, or ends early.
func TestWhatTheAPIServerForgot(t *testing.T) {
	list := func(version int) string {
		return fmt.Sprintf(`{"metadata":{"resourceVersion":"%d"},"items":[]}`, version)
	}
	for name, test := range map[string]struct {
		answers []string
		is      error
		want    string
	}{
		"forgotten":       {[]string{list(9), list(9), list(9), `{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}`}, ErrForgotten, "too old"},
		"ended early":     {[]string{list(9), list(9), list(9), ""}, ErrForgotten, "EOF"},
		"another counter": {[]string{list(9), list(4), list(9)}, errApart, ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			answers := test.answers
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, answers[0])
				answers = answers[1:]
			}))
			defer api.Close()
			client, err := rest.UnversionedRESTClientFor(&rest.Config{Host: api.URL, ContentConfig: rest.ContentConfig{
				GroupVersion: &v1alpha1.GroupVersion, NegotiatedSerializer: clientgoscheme.Codecs.WithoutConversion(),
			}})
			g.Expect(err).NotTo(HaveOccurred())
			_, err = (&server{client}).Appeared(t.Context(), []*v1alpha1.ResourceReference{theObject()}, 7)
			g.Expect(err).To(And(MatchError(test.is), MatchError(ContainSubstring(test.want))))
			g.Expect(answers).To(BeEmpty())
		})
	}
}
