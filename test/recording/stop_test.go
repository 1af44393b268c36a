package recording

import (
	"context"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// This test is not parallel: it stops the operator.

// TestAStoppingReplicaAnswersForAWhile: it says at once that it is not ready, and records until nobody asks any more.
func TestAStoppingReplicaAnswersForAWhile(t *testing.T) {
	g := NewWithT(t)
	namespace := newProject(t)
	t.Cleanup(func() {
		operator.Wait()
		var err error
		operator, err = env.StartManager(context.WithoutCancel(t.Context()), options)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	})
	operator.Terminate()
	began := time.Now()
	g.Eventually(func() (int, error) { return statusOf(t, operator.ProbeURL+"/readyz") }).
		WithTimeout(time.Second).WithPolling(10 * time.Millisecond).Should(Equal(http.StatusInternalServerError))
	for time.Since(began) < 4*time.Second {
		object := create(t, namespace, generated())
		g.Expect(events(t, namespace, named(object.Name))).To(HaveLen(1))
		g.Expect(statusOf(t, operator.ProbeURL+"/healthz")).To(Equal(http.StatusOK))
	}
}

func statusOf(t *testing.T, url string) (int, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
