package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// A backlog of hundreds of thousands of events takes a slow API server longer than one request may take, and longer than it
// remembers the moment at which a list began.
func TestAListGoesOn(t *testing.T) {
	tooSlow := func() *http.Response {
		return statusAnswer(t, http.StatusGatewayTimeout, &metav1.Status{
			TypeMeta: statusType, Status: "Failure", Reason: metav1.StatusReasonTimeout, Code: 504,
		})
	}
	for name, test := range map[string]struct {
		answer func(limit int, continued string, page []byte) *http.Response
		// pages is how often the API server is asked.
		pages int
		fails bool
	}{
		"at once": {func(int, string, []byte) *http.Response { return nil }, 3, false},
		"with smaller pages": {func(limit int, _ string, _ []byte) *http.Response {
			if limit > 300 {
				return tooSlow()
			}
			return nil
		}, 5, false},
		"behind what was read of a page": {func(limit int, continued string, page []byte) *http.Response {
			if limit < indexPage || continued == "" {
				return nil
			}
			body := io.MultiReader(bytes.NewReader(page[:len(page)/2]), iotest.ErrReader(context.DeadlineExceeded))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(body)}
		}, 4, false},
		"as of now": {forgotten(t, 1), 4, false}, //nolint:bodyclose // Whoever asks the fake closes it.
		"not when each moment is forgotten at once": {forgotten(t, pageTries), 1 + pageTries, true}, //nolint:bodyclose // As above.
		"not when even small pages are too slow":    {func(int, string, []byte) *http.Response { return tooSlow() }, 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			api, trail := newFakeAPI(), newTrail("shop", "security")
			var want, got []string
			for n := range 20 {
				api.store(newEvent(trail, eventName(n), recordedTime), uint64(n+1))
				want = append(want, eventName(n))
			}
			api.answerList = test.answer
			list := backlogOf(t, api, trail, 1<<20)
			list.places = []string{trail.Namespace}
			pages := list.pager(indexPage)
			var err error
			for err == nil {
				err = pages.page(t.Context(), func(event *recorded.Wire) { got = append(got, event.Name) })
			}
			if test.fails {
				g.Expect(errors.Is(err, io.EOF)).To(BeFalse())
			} else {
				g.Expect(err).To(MatchError(io.EOF))
				g.Expect(got).To(Equal(want))
			}
			asked, _ := api.reads()
			g.Expect(asked).To(Equal(test.pages))
		})
	}
}

// Forgotten answers so many tries with the API server's having forgotten the moment of the list.
func forgotten(t *testing.T, times int) func(int, string, []byte) *http.Response {
	t.Helper()
	return func(_ int, continued string, _ []byte) *http.Response {
		if times == 0 || continued == "" {
			return nil
		}
		times--
		gone := expired()
		gone.Continue = continued
		return statusAnswer(t, http.StatusGone, gone)
	}
}

func statusAnswer(t *testing.T, code int, status *metav1.Status) *http.Response {
	t.Helper()
	response, err := answer(code, status)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return response
}
