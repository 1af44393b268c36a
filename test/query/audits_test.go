package query_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// TestAudits has an order: the operator, once it runs, prunes what is old.
func TestAudits(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"curl", (*world).testCurl},
		{"rights", (*world).testRights},
		{"filters", (*world).testFilters},
		{"wrong questions", (*world).testWrongQuestions},
		{"pages while changes are recorded", (*world).testPages},
		{"one change", (*world).testOne},
		{"notes", (*world).testNotes},
		{"events", (*world).testEvents},
		{"CSV", (*world).testCSV},
		{"a year back", (*world).testArchive},
		{"the operator's own port", (*world).testOperator},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.t = t
			part.run(w)
		})
	}
	NewWithT(t).Expect(w.document.checked).To(And(
		HaveKey("GET /v1/audits 200"), HaveKey("GET /v1/audits 400"), HaveKey("GET /v1/audits 401"), HaveKey("GET /v1/audits 403"),
		HaveKey("GET /v1/audits/{uid} 200"), HaveKey("GET /v1/audits/{uid} 404"), HaveKey("GET /v1/audits/{uid}/sysMsg 200"),
		HaveKey("GET /v1alpha1/events 200"),
	), "each was held against the document")
}

// testCurl asks as the public client's documentation does, word for word.
func (w *world) testCurl() {
	g := NewWithT(w.t)
	const command = `curl "https://HOST/v1/audits?startTime=2023-03-28T00:00:00%2B05:30&endTime=2023-04-28T23:59:59%2B05:30&resourceKind=project" ` +
		`--header 'Content-Type: application/json' --header 'Accept: application/json' --header "ApiKey: $TOKEN"`
	parsed, err := url.Parse(w.server.URL)
	g.Expect(err).NotTo(HaveOccurred())
	shell := exec.CommandContext(w.t.Context(), "sh", "-c", strings.Replace(command, "HOST", parsed.Host, 1))
	shell.Env = append(os.Environ(), "TOKEN="+w.token("curl", "trailkeeper-viewer", "*"), "CURL_CA_BUNDLE="+w.authority())
	output, err := shell.Output()
	g.Expect(err).NotTo(HaveOccurred())
	list := w.read(output)
	g.Expect(list.Items).To(HaveLen(2*fixtures/len(kinds)), "each project's, once")
	for _, item := range list.Items {
		g.Expect(item.Spec.Resource.Kind).To(Equal("Project"))
	}
	for _, kind := range []string{"spectrocluster", "virtualCluster"} {
		g.Expect(w.list(w.token("curl-"+strings.ToLower(kind), "trailkeeper-viewer", "*"), "resourceKind="+kind).Items).To(HaveLen(2 * fixtures / len(kinds)))
	}
}

func (w *world) testRights() {
	g := NewWithT(w.t)
	everything := w.token("everything", "trailkeeper-viewer", "*")
	tenant := w.token("tenant", "trailkeeper-viewer", testenv.OperatorNamespace)
	project := w.token("project", "trailkeeper-viewer", shop)
	nobody := w.token("nobody", "trailkeeper-viewer")

	g.Expect(w.list(everything, "limit=1000").Items).To(HaveLen(2*fixtures), "copies of one change are one")
	g.Expect(w.list(everything, "limit=1000&trail=all").Items).To(HaveLen(2 * fixtures))
	g.Expect(w.list(tenant, "limit=1000").Items).To(HaveLen(2*fixtures), "tenant trails see all projects")

	own := w.list(project, "limit=1000&projectUid="+shop)
	g.Expect(own.Items).To(HaveLen(fixtures))
	for _, item := range own.Items {
		g.Expect(item.Spec.Actor.Project.UID).To(Equal(shop))
	}
	answer := w.ask(http.MethodGet, "/v1/audits?limit=1000", project, "", "ProjectUid", shop)
	g.Expect(w.read(answer.body).Items).To(HaveLen(fixtures))

	for _, refused := range []struct{ token, path, told string }{
		{project, "/v1/audits", "trailkeeper-viewer"},
		{project, "/v1/audits?projectUid=" + depot, "namespace depot"},
		{project, "/v1/audits.csv?projectUid=" + depot, "namespace depot"},
		{project, "/v1alpha1/events?projectUid=" + depot, "namespace depot"},
		{tenant, "/v1/audits?projectUid=" + shop, "namespace shop"},
		{nobody, "/v1/audits?projectUid=" + shop, "namespace shop"},
	} {
		answer := w.ask(http.MethodGet, refused.path, refused.token, "")
		g.Expect(answer.status).To(Equal(http.StatusForbidden), refused.path)
		g.Expect(string(answer.body)).To(And(ContainSubstring("Forbidden"), ContainSubstring(refused.told)), refused.path)
	}

	gone := w.token("gone", "trailkeeper-viewer", "*")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gone"}}
	g.Expect(w.admin.Delete(w.t.Context(), account)).To(Succeed())
	g.Eventually(func() int { return w.ask(http.MethodGet, "/v1/audits", gone, "").status }).
		WithTimeout(patience).Should(Equal(http.StatusUnauthorized), "the API server remembers tokens for some seconds")
	for _, token := range []string{"", "wrong"} {
		answer := w.ask(http.MethodGet, "/v1/audits", token, "")
		g.Expect(answer.status).To(Equal(http.StatusUnauthorized))
		g.Expect(answer.header.Get("WWW-Authenticate")).To(ContainSubstring("Bearer"))
	}
	bearer := w.ask(http.MethodGet, "/v1/audits", "", "", "Authorization", "Bearer "+tenant)
	g.Expect(bearer.status).To(Equal(http.StatusOK))
}

// testFilters compares each filter with what it says of the fixtures.
func (w *world) testFilters() {
	token := w.token("filters", "trailkeeper-viewer", shop)
	for parameters, wanted := range map[string]func(n int) bool{
		"":                     func(int) bool { return true },
		"resourceKind=PROJECT": func(n int) bool { return n%3 == 0 },
		"resourceKind=project&resourceKind=virtualcluster": func(n int) bool { return n%3 != 1 },
		"resourceUid=object-3":                             func(n int) bool { return n%7 == 3 },
		"resourceName=thing-3":                             func(n int) bool { return n%7 == 3 },
		"actionType=update":                                func(n int) bool { return n/2%3 == 1 },
		"actionType=Create&actionType=delete":              func(n int) bool { return n/2%3 != 1 },
		"userUid=alice":                                    func(n int) bool { return n%3 == 0 },
		"userUid=uid-of-bob":                               func(n int) bool { return n%3 == 1 },
		"trail=all":                                        func(int) bool { return true },
		"trail=other":                                      func(int) bool { return false },
		"tenantUid=cluster-a":                              func(int) bool { return true },
		"tenantUid=cluster-b":                              func(int) bool { return false },
		"outcome=pending":                                  func(int) bool { return true },
		"outcome=NotPersisted":                             func(int) bool { return false },
		"startTime=2023-04-01T10:00:00Z":                   func(n int) bool { return n >= 10 },
		"endTime=2023-04-01T10:00:00Z":                     func(n int) bool { return n < 10 },
		"startTime=2023-04-01T15:30:00%2B05:30&endTime=2023-04-01T17:30:00+05:30": func(n int) bool { return n == 10 || n == 11 },
	} {
		var names []string
		for n := fixtures - 1; n >= 0; n-- {
			if wanted(n) {
				names = append(names, timeAt(n).Format("2006-01-02T15:04:05Z07:00"))
			}
		}
		list := w.list(token, parameters+"&limit=1000&projectUid="+shop)
		var found []string
		for _, item := range list.Items {
			found = append(found, item.Metadata.CreationTimestamp.Format("2006-01-02T15:04:05Z07:00"))
		}
		NewWithT(w.t).Expect(found).To(Equal(names), "newest first: %s", parameters)
	}
}

func (w *world) testWrongQuestions() {
	token := w.token("wrong", "trailkeeper-viewer", "*")
	for parameters, told := range map[string]string{
		"startTime=yesterday": "RFC 3339",
		"startTime=2023-04-02T00:00:00Z&endTime=2023-04-01T00:00:00Z": "before startTime",
		"actionType=read":            "actionType must be",
		"limit=-1":                   "0 or more",
		"limit=many":                 "0 or more",
		"offset=10001":               "continue",
		"continue=abc":               "continue",
		"outcome=good":               "outcome must be",
		"projectUid=Not_A_Namespace": "projectUid",
	} {
		answer := w.ask(http.MethodGet, "/v1/audits?"+parameters, token, "")
		g := NewWithT(w.t)
		g.Expect(answer.status).To(Equal(http.StatusBadRequest), parameters)
		g.Expect(string(answer.body)).To(ContainSubstring(told), parameters)
	}
	for _, path := range []string{"/", "/v1/unknown", "/v1alpha1/unknown"} {
		NewWithT(w.t).Expect(w.ask(http.MethodGet, path, token, "").status).To(Equal(http.StatusNotFound), path)
	}
}

// testPages reads page by page while changes are recorded: what was there at the start comes once, in order.
func (w *world) testPages() {
	g := NewWithT(w.t)
	token := w.token("pages", "trailkeeper-viewer", "*")
	before := w.list(token, "limit=1000&order=oldest")
	for _, order := range []string{"oldest", "newest"} {
		seen := w.readPages(token, order)
		for _, item := range before.Items {
			g.Expect(seen).To(HaveKeyWithValue(item.change(), 1), order)
		}
		g.Expect(seen).To(HaveEach(1), order)
	}
	all, offset := w.list(token, "limit=1000"), w.list(token, "limit=5&offset=10")
	g.Expect(offset.Items).To(Equal(all.Items[10:15]))
	g.Expect(offset.ListMeta.Offset).To(Equal(15))
}

// readPages reads all pages in an order, and has a change recorded for each of the first ones. It counts how often each change came.
func (w *world) readPages(token, order string) map[string]int {
	w.t.Helper()
	g := NewWithT(w.t)
	seen, read, next := map[string]int{}, 0, ""
	for page := 0; ; page++ {
		list := w.list(token, "limit=7&order="+order+"&continue="+next)
		g.Expect(len(list.Items)).To(BeNumerically("<=", 7))
		for i := range list.Items {
			seen[list.Items[i].change()]++
			read++
		}
		g.Expect(list.ListMeta.Offset).To(Equal(read))
		if next = list.ListMeta.Continue; next == "" {
			g.Expect(list.ListMeta.Count).To(Equal(read))
			return seen
		}
		g.Expect(list.ListMeta.Count).To(BeNumerically(">", read))
		if page < len(recordedWhileReading[order]) {
			w.record(shop, shop, recordedWhileReading[order][page])
		}
	}
}

// recordedWhileReading are changes after the fixtures, some of which are recorded behind the place that was read last.
var recordedWhileReading = map[string][]int{
	"oldest": {60, 61, 62, 63, 64, 65, 66, 67, 68, 69},
	"newest": {70, 71, 72, 73, 74, 75, 76, 77, 78, 79},
}

func (w *world) testOne() {
	g := NewWithT(w.t)
	token := w.token("one", "trailkeeper-viewer", shop)
	first := w.list(token, "order=oldest&limit=1&projectUid="+shop).Items[0]
	answer := w.ask(http.MethodGet, "/v1/audits/"+first.Metadata.UID+"?projectUid="+shop, token, "")
	g.Expect(answer.status).To(Equal(http.StatusOK))
	g.Expect(string(answer.body)).To(ContainSubstring(`"actionMsg":"alice created Project thing-0 in namespace shop"`))

	answer = w.ask(http.MethodGet, "/v1/audits/"+first.Metadata.UID+"/sysMsg", token, "", "ProjectUid", shop)
	var messages map[string]string
	g.Expect(json.Unmarshal(answer.body, &messages)).To(Succeed())
	g.Expect(messages).To(Equal(map[string]string{
		"actionMsg": "alice created Project thing-0 in namespace shop", "contentMsg": "/spec/size: 1 → 2",
	}))
	for _, uid := range []string{"01jdgz4y8vq3e5m7r9t1w3y5z7", "not-a-uid"} {
		g.Expect(w.ask(http.MethodGet, "/v1/audits/"+uid+"?projectUid="+shop, token, "").status).To(Equal(http.StatusNotFound))
	}
	g.Expect(w.ask(http.MethodGet, "/v1/audits/"+first.Metadata.UID, token, "").status).To(Equal(http.StatusForbidden), "of the tenant scope")
	service := w.list(token, "userUid="+users[2]+"&limit=1&projectUid="+shop).Items[0]
	g.Expect(service.Spec.Actor.ActorType).To(Equal("service"))
	g.Expect(service.Spec.Actor.ServiceName).To(Equal(users[2]))
}

func (w *world) testNotes() {
	g := NewWithT(w.t)
	viewer, editor := w.token("reads", "trailkeeper-viewer", shop), w.token("explains", "trailkeeper-viewer", shop)
	w.token("explains", "trailkeeper-editor", shop)
	uid := w.list(viewer, "order=oldest&limit=1&projectUid="+shop).Items[0].Metadata.UID
	path := "/v1/audits/" + uid + "/userMsg?projectUid=" + shop
	for body, status := range map[string]int{
		`{"userMsg":"no"}`: http.StatusBadRequest,
		`{"userMsg":"` + strings.Repeat("x", 256) + `"}`:    http.StatusBadRequest,
		`{"userMsg":"` + strings.Repeat("x", 10_000) + `"}`: http.StatusBadRequest,
		`{}`: http.StatusBadRequest, `nonsense`: http.StatusBadRequest,
		`{"userMsg":"Änderung CHG-7"}`: http.StatusNoContent,
	} {
		g.Expect(w.ask(http.MethodPatch, path, editor, body).status).To(Equal(status), "%.40s", body)
	}
	g.Expect(w.ask(http.MethodPatch, path, viewer, `{"userMsg":"may I"}`).status).To(Equal(http.StatusForbidden))
	answer := w.ask(http.MethodGet, "/v1/audits/"+uid+"?projectUid="+shop, viewer, "")
	g.Expect(string(answer.body)).To(ContainSubstring(`"userMsg":"Änderung CHG-7"`))
}

func (w *world) testEvents() {
	g := NewWithT(w.t)
	token := w.token("events", "trailkeeper-viewer", shop)
	answer := w.ask(http.MethodGet, "/v1alpha1/events?limit=3&order=oldest&projectUid="+shop, token, "")
	var list struct {
		Items []struct {
			v1alpha1.AuditEvent
			Source, Outcome string
		}
		Metadata struct{ Continue string }
	}
	g.Expect(json.Unmarshal(answer.body, &list)).To(Succeed())
	g.Expect(list.Items).To(HaveLen(3))
	g.Expect(list.Items[0].Kind).To(Equal("AuditEvent"))
	g.Expect(list.Items[0].Spec.Changes).To(HaveLen(1))
	g.Expect(list.Items[0].Source).To(Equal("Cluster"))
	g.Expect(list.Metadata.Continue).NotTo(BeEmpty())
}

func (w *world) testCSV() {
	g := NewWithT(w.t)
	token := w.token("csv", "trailkeeper-viewer", depot)
	answer := w.ask(http.MethodGet, "/v1/audits.csv?projectUid="+depot, token, "")
	g.Expect(answer.status).To(Equal(http.StatusOK))
	g.Expect(answer.header.Get("Content-Type")).To(HavePrefix("text/csv"))
	records, err := csv.NewReader(strings.NewReader(string(answer.body))).ReadAll()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(records).To(HaveLen(1 + fixtures))
	list := w.list(token, "order=oldest&limit=1000&projectUid="+depot)
	for n, item := range list.Items {
		g.Expect(records[1+n][0]).To(Equal(item.Metadata.CreationTimestamp.Format("2006-01-02T15:04:05Z")))
		g.Expect(records[1+n]).To(ContainElement(item.Metadata.UID))
	}
	some := w.ask(http.MethodGet, "/v1/audits.csv?limit=2&resourceKind=project&projectUid="+depot, token, "")
	g.Expect(strings.Count(string(some.body), "\r\n")).To(Equal(3))
	none := w.ask(http.MethodGet, "/v1/audits.csv?trail=other&projectUid="+depot, token, "")
	g.Expect(strings.Count(string(none.body), "\r\n")).To(Equal(1), "the header alone")
}

// testOperator asks a running operator about a change that it recorded.
func (w *world) testOperator() {
	g := NewWithT(w.t)
	operator, err := env.StartOperator(w.t.Context(), testenv.OperatorOptions{Replicas: 1})
	g.Expect(err).NotTo(HaveOccurred())
	defer operator.Close()
	g.Eventually(func() (bool, error) { return testenv.Probe(w.t.Context(), w.admin, w.trails[shop], shop) }).WithTimeout(patience).Should(BeTrue())
	token := w.token("operator", "trailkeeper-viewer", shop)
	web := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "asked-about"}}
	g.Expect(w.admin.Create(w.t.Context(), web)).To(Succeed())

	client := w.trusting()
	get := func(path string) reply {
		request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, operator.Replica(0).APIURL+path, http.NoBody)
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+token)
		return do(g, client, request)
	}
	answer := get("/v1/audits?resourceName=asked-about&projectUid=" + shop)
	g.Expect(answer.status).To(Equal(http.StatusOK), "%s", answer.body)
	list := w.read(answer.body)
	g.Expect(list.Items).To(HaveLen(1))
	g.Expect(list.Items[0].Spec.ActionType).To(Equal("create"))
	g.Expect(list.Items[0].Spec.Resource.UID).To(Equal(string(web.UID)))
	g.Eventually(func() string {
		list := w.read(get("/v1/audits?resourceName=asked-about&projectUid=" + shop).body)
		return list.Items[0].Metadata.Annotations["audit.trailkeeper.dev/outcome"]
	}).WithTimeout(patience).Should(Equal("Persisted"))
	page := get("/")
	g.Expect(page.status).To(Equal(http.StatusOK))
	g.Expect(page.header.Get("Content-Security-Policy")).To(ContainSubstring("default-src 'none'"))
}
