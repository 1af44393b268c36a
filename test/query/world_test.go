package query_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query/httpapi"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	shop  = "shop"
	depot = "depot"
	// fixtures is how many changes each of the two projects has.
	fixtures = 60
)

// world is what trails of a tenant and of two projects recorded, and an API that is asked about it.
type world struct {
	t        *testing.T
	admin    client.Client
	operator client.Client
	server   *httptest.Server
	trails   map[string]*v1alpha1.AuditTrail
	document *schemas
}

// from is when the first change was made; one follows every hour.
var from = time.Date(2023, time.April, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, trails: map[string]*v1alpha1.AuditTrail{}}
	var err error
	w.admin, err = testenv.NewClient(env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	config, err := env.ServiceAccountConfig(t.Context(), testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	g.Expect(err).NotTo(HaveOccurred())
	w.operator, err = testenv.NewClient(config)
	g.Expect(err).NotTo(HaveOccurred())
	for _, namespace := range []string{shop, depot} {
		g.Expect(w.admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	}
	for _, namespace := range []string{testenv.OperatorNamespace, shop, depot} {
		trail := &v1alpha1.AuditTrail{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"},
			Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly},
		}
		g.Expect(w.admin.Create(t.Context(), trail)).To(Succeed())
		w.trails[namespace] = trail
	}
	for n := range fixtures {
		for _, project := range []string{shop, depot} {
			// The project's own trail and the tenant's recorded the same change.
			w.record(project, project, n)
			w.record(testenv.OperatorNamespace, project, n)
		}
	}
	handler, err := httpapi.New(httpapi.Options{
		Config: config, Trails: w.operator, Chunks: w.operator, Namespace: testenv.OperatorNamespace, ClusterID: "cluster-a",
	})
	g.Expect(err).NotTo(HaveOccurred())
	w.server = httptest.NewTLSServer(handler)
	t.Cleanup(w.server.Close)
	w.document = readSchemas(g, w)
	return w
}

var (
	kinds   = []string{"Project", "SpectroCluster", "VirtualCluster"}
	actions = []v1alpha1.Action{v1alpha1.ActionCreate, v1alpha1.ActionUpdate, v1alpha1.ActionDelete}
	users   = []string{"alice", "bob", "system:serviceaccount:shop:deployer"}
)

// timeAt is when the nth change of a project was made.
func timeAt(n int) time.Time { return from.Add(time.Duration(n) * time.Hour) }

// record has a namespace's trail record the nth change of a project.
func (w *world) record(namespace, project string, n int) {
	w.t.Helper()
	var id ulid.ULID
	g := NewWithT(w.t)
	g.Expect(id.SetTime(ulid.Timestamp(timeAt(n)))).To(Succeed())
	copy(id[6:], fmt.Sprintf("%.4s%.4s%02d", namespace, project, n%100))
	trail := w.trails[namespace]
	user := users[n%len(users)]
	path := "/spec/size"
	event := &v1alpha1.AuditEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ToLower(id.String())},
		Spec: v1alpha1.AuditEventSpec{
			ID: fmt.Sprintf("%s-%d", project, n), Time: metav1.NewMicroTime(timeAt(n)), Action: actions[n/2%len(actions)],
			TrailRef: v1alpha1.TrailReference{Namespace: namespace, Name: trail.Name, UID: string(trail.UID)},
			Actor:    v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: user, UID: "uid-of-" + user[:3]},
			Resource: v1alpha1.ResourceReference{
				Group: "example.com", Version: "v1", Resource: strings.ToLower(kinds[n%len(kinds)]) + "s", Kind: kinds[n%len(kinds)],
				Namespace: project, Name: fmt.Sprintf("thing-%d", n%7), UID: fmt.Sprintf("object-%d", n%7),
			},
			Request: &v1alpha1.RequestInfo{UID: "request"},
			Level:   v1alpha1.LevelChanges,
			Changes: []v1alpha1.Change{{
				Op: "replace", Path: &path, From: &runtime.RawExtension{Raw: []byte("1")}, Value: &runtime.RawExtension{Raw: []byte("2")},
			}},
		},
	}
	if strings.HasPrefix(user, "system:serviceaccount:") {
		event.Spec.Actor.Type = v1alpha1.ActorServiceAccount
	}
	g.Expect(w.operator.Create(w.t.Context(), event)).To(Succeed())
}

// token is that of a service account with the viewer's role in the namespaces, or in all with "*".
func (w *world) token(name, role string, namespaces ...string) string {
	w.t.Helper()
	g := NewWithT(w.t)
	config, err := env.ServiceAccountConfig(w.t.Context(), "default", name)
	g.Expect(err).NotTo(HaveOccurred())
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name}}
	to := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	for _, namespace := range namespaces {
		meta := metav1.ObjectMeta{Name: name + "-" + role, Namespace: namespace}
		var binding client.Object = &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: to}
		if namespace == "*" {
			binding = &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: meta.Name}, Subjects: subjects, RoleRef: to}
		}
		g.Expect(w.admin.Create(w.t.Context(), binding)).To(Succeed())
	}
	for _, namespace := range namespaces {
		w.awaitRight("system:serviceaccount:default:"+name, rightOf[role], strings.TrimSuffix(namespace, "*"))
	}
	return config.BearerToken
}

// rightOf is a right on AuditEvents that each role gives, and the other one does not.
var rightOf = map[string]string{"trailkeeper-viewer": "list", "trailkeeper-editor": "patch"}

// awaitRight waits until the API server, which watches the bindings, lets a user do so with AuditEvents in a namespace, or in all.
func (w *world) awaitRight(user, verb, namespace string) {
	w.t.Helper()
	NewWithT(w.t).Eventually(w.t.Context(), func() (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: verb, Group: v1alpha1.GroupVersion.Group, Resource: "auditevents",
			},
		}}
		err := w.admin.Create(w.t.Context(), review)
		return review.Status.Allowed, err
	}).WithTimeout(patience).Should(BeTrue())
}

// reply is an answer of the API.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with a token in the header ApiKey. Every JSON answer is held against the API's own document.
func (w *world) ask(method, path, token, body string, header ...string) reply {
	w.t.Helper()
	g := NewWithT(w.t)
	request, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("ApiKey", token)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := w.server.Client().Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	if w.document != nil && strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		w.document.check(g, method, request.URL.Path, response.StatusCode, content)
	}
	return reply{response.StatusCode, response.Header, content}
}

// audits is what GET /v1/audits answers, as a client of that API reads it.
type audits struct {
	Items    []item
	ListMeta struct {
		Continue             string
		CompleteSince        time.Time
		Count, Limit, Offset int
	}
}

type item struct {
	Metadata struct {
		Name, UID         string
		CreationTimestamp time.Time
		Annotations       map[string]string
	}
	Spec struct {
		ActionType, ActionMsg, ContentMsg, UserMsg string

		Actor struct {
			ActorType, ServiceName string
			User                   struct{ UID, EmailID string }
			Project                struct{ Name, UID string }
		}
		Resource struct{ Kind, Label, Name, UID string }
	}
}

// change names what was recorded, whichever trail's copy of it this is.
func (i *item) change() string {
	return i.Metadata.CreationTimestamp.String() + i.Spec.Actor.Project.UID
}

func (w *world) list(token, parameters string) audits {
	w.t.Helper()
	g := NewWithT(w.t)
	answer := w.ask(http.MethodGet, "/v1/audits?"+parameters, token, "")
	g.Expect(answer.status).To(Equal(http.StatusOK), "%s", answer.body)
	return w.read(answer.body)
}

func (w *world) read(body []byte) audits {
	w.t.Helper()
	var list audits
	NewWithT(w.t).Expect(json.Unmarshal(body, &list)).To(Succeed(), "%s", body)
	return list
}

// authority is a file with the certificate that signs the server's.
func (w *world) authority() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "ca.crt")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}
	NewWithT(w.t).Expect(os.WriteFile(path, pem.EncodeToMemory(block), 0o600)).To(Succeed())
	return path
}
