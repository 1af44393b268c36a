package trails

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// tap stands between the operator and AWS and notes the secrets that pass by: tokens of service accounts, and the keys
// that STS issues for them.
type tap struct {
	next http.Handler

	mu sync.Mutex
	// secrets are what each is, by value.
	secrets map[string]string
}

var issued = regexp.MustCompile(`<(SecretAccessKey|SessionToken)>([^<]+)</`)

func (t *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		t.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Has("WebIdentityToken") {
		t.note("the token of a service account", form.Get("WebIdentityToken"))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	t.next.ServeHTTP(answer, r)
	for _, found := range issued.FindAllStringSubmatch(answer.Body.String(), -1) {
		t.note("a "+found[1]+" of STS", found[2])
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // The operator may have gone away.
}

func (t *tap) note(what, secret string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets[secret] = what
}

// kinds are the kinds of secrets that passed by, and known all of them.
func (t *tap) kinds() map[string]bool {
	kinds := map[string]bool{}
	for _, what := range t.known() {
		kinds[what] = true
	}
	return kinds
}

func (t *tap) known() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := make(map[string]string, len(t.secrets))
	for secret, what := range t.secrets {
		known[secret] = what
	}
	return known
}
