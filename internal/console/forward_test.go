package console

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"
)

// apiServer answers every call and remembers the last one.
type apiServer struct {
	*httptest.Server
	last *http.Request
	body string
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.last, s.body = r, string(body)
		w.Header().Set("Set-Cookie", "session=1")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"kind":"Status"}`)
	}))
	t.Cleanup(s.Close)
	return s
}

func newConsole(t *testing.T, s *apiServer) http.Handler {
	t.Helper()
	config := &rest.Config{Host: s.URL, BearerToken: "the-operators-own", Username: "operator", Password: "secret"}
	handler, err := New(Options{Config: config, Namespace: "trailkeeper-system"})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return handler
}

func ask(t *testing.T, handler http.Handler, method, target, body string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for name, value := range header {
		request.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestWhatIsForwarded(t *testing.T) {
	const api = "/apis/audit.trailkeeper.dev/v1alpha1"
	for name, c := range map[string]struct {
		method, target, body string
		want                 string
	}{
		"all trails":        {http.MethodGet, "/v1alpha1/audittrails?limit=5&continue=abc&watch=true", "", "GET " + api + "/audittrails?continue=abc&limit=5"},
		"trails":            {http.MethodGet, "/v1alpha1/namespaces/shop/audittrails", "", "GET " + api + "/namespaces/shop/audittrails"},
		"a new trail":       {http.MethodPost, "/v1alpha1/namespaces/shop/audittrails?dryRun=All", "{}", "POST " + api + "/namespaces/shop/audittrails?dryRun=All&fieldManager=trailkeeper-console&fieldValidation=Strict"},
		"a changed trail":   {http.MethodPatch, "/v1alpha1/namespaces/shop/audittrails/web?force=true", "{}", "PATCH " + api + "/namespaces/shop/audittrails/web?fieldManager=trailkeeper-console&fieldValidation=Strict"},
		"a deleted trail":   {http.MethodDelete, "/v1alpha1/namespaces/shop/audittrails/web", "", "DELETE " + api + "/namespaces/shop/audittrails/web"},
		"an event":          {http.MethodGet, "/v1alpha1/namespaces/shop/auditevents/01jd", "", "GET " + api + "/namespaces/shop/auditevents/01jd"},
		"an event's note":   {http.MethodPatch, "/v1alpha1/namespaces/shop/auditevents/01jd", "{}", "PATCH " + api + "/namespaces/shop/auditevents/01jd?fieldManager=trailkeeper-console&fieldValidation=Strict"},
		"who the viewer is": {http.MethodGet, "/v1alpha1/viewer", "", "POST /apis/authentication.k8s.io/v1/selfsubjectreviews?fieldManager=trailkeeper-console&fieldValidation=Strict"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newAPIServer(t)
			answer := ask(t, newConsole(t, s), c.method, c.target, c.body, map[string]string{
				"Authorization": "Bearer the-viewers", "Impersonate-User": "admin", "Cookie": "a=b", "Content-Type": "application/json-patch+json",
			})
			g.Expect(answer.Code).To(Equal(http.StatusTeapot))
			g.Expect(answer.Header()).NotTo(HaveKey("Set-Cookie"))
			g.Expect(answer.Header().Get("Cache-Control")).To(Equal("no-store"))
			g.Expect(s.last.Method + " " + s.last.URL.String()).To(Equal(c.want))
			g.Expect(s.last.Header["Authorization"]).To(Equal([]string{"Bearer the-viewers"}))
			g.Expect(s.last.Header).NotTo(Or(HaveKey("Impersonate-User"), HaveKey("Cookie")))
			if c.method == http.MethodPatch {
				g.Expect(s.last.Header.Get("Content-Type")).To(Equal("application/merge-patch+json"))
			}
		})
	}
}

func TestWhatIsNotForwarded(t *testing.T) {
	token := map[string]string{"Authorization": "Bearer the-viewers"}
	for name, c := range map[string]struct {
		method, target, body string
		header               map[string]string
		want                 int
	}{
		"no token":              {http.MethodGet, "/v1alpha1/audittrails", "", nil, http.StatusUnauthorized},
		"an empty token":        {http.MethodGet, "/v1alpha1/audittrails", "", map[string]string{"Authorization": "Bearer  "}, http.StatusUnauthorized},
		"a password":            {http.MethodGet, "/v1alpha1/audittrails", "", map[string]string{"Authorization": "Basic dTpw"}, http.StatusUnauthorized},
		"another kind":          {http.MethodGet, "/v1alpha1/namespaces/shop/secrets", "", token, http.StatusNotFound},
		"a deleted event":       {http.MethodDelete, "/v1alpha1/namespaces/shop/auditevents/01jd", "", token, http.StatusMethodNotAllowed},
		"all trails deleted":    {http.MethodDelete, "/v1alpha1/namespaces/shop/audittrails", "", token, http.StatusMethodNotAllowed},
		"a status":              {http.MethodPatch, "/v1alpha1/namespaces/shop/audittrails/web/status", "", token, http.StatusMethodNotAllowed},
		"a way out":             {http.MethodGet, "/v1alpha1/namespaces/shop/audittrails/..%2f..%2f..%2fsecrets", "", token, http.StatusBadRequest},
		"a namespace's way out": {http.MethodGet, "/v1alpha1/namespaces/shop%2fsecrets%3f/audittrails", "", token, http.StatusBadRequest},
		"too large":             {http.MethodPost, "/v1alpha1/namespaces/shop/audittrails", strings.Repeat("x", maxBody+1), token, http.StatusBadRequest},
		"another site": {http.MethodPost, "/v1alpha1/namespaces/shop/audittrails", "{}", map[string]string{
			"Authorization": "Bearer the-viewers", "Sec-Fetch-Site": "cross-site",
		}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := newAPIServer(t)
			answer := ask(t, newConsole(t, s), c.method, c.target, c.body, c.header)
			g.Expect(answer.Code).To(Equal(c.want))
			g.Expect(s.last).To(BeNil(), "the API server was called")
		})
	}
}

func TestAnAPIServerThatIsAway(t *testing.T) {
	g := NewWithT(t)
	s := newAPIServer(t)
	handler := newConsole(t, s)
	s.Close()
	answer := ask(t, handler, http.MethodGet, "/v1alpha1/audittrails", "", map[string]string{"Authorization": "Bearer the-viewers"})
	g.Expect(answer.Code).To(Equal(http.StatusBadGateway))
	body, err := io.ReadAll(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(body)).To(And(ContainSubstring("try again"), Not(ContainSubstring("the-viewers"))))
}
