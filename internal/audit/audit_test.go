package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var (
	testDigester = NewDigester([]byte("0123456789abcdef0123456789abcdef"))
	received     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// request is an update of a ConfigMap by alice; edits change it.
func request(edits ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
	r := &admissionv1.AdmissionRequest{
		UID:       "req-1",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Name:      "web",
		Namespace: "shop",
		Operation: admissionv1.Update,
		UserInfo:  authenticationv1.UserInfo{Username: "alice", Groups: []string{"dev"}},
		OldObject: runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"},"data":{"a":"1"}}`)},
		Object:    runtime.RawExtension{Raw: []byte(`{"metadata":{"name":"web","uid":"u1","resourceVersion":"7"},"data":{"a":"2"}}`)},
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func objects(before, after string) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) {
		r.OldObject.Raw, r.Object.Raw = []byte(before), []byte(after)
	}
}

func operation(o admissionv1.Operation) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) { r.Operation = o }
}

func kind(group, kind, resource, subresource string) func(*admissionv1.AdmissionRequest) {
	return func(r *admissionv1.AdmissionRequest) {
		r.Kind = metav1.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
		r.Resource = metav1.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
		r.SubResource = subresource
	}
}

func newChange(t *testing.T, r *admissionv1.AdmissionRequest) *Change {
	t.Helper()
	c, err := NewChange(r, v1alpha1.ActorUser, testDigester)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

func event(t *testing.T, r *admissionv1.AdmissionRequest, wanted Wanted) *v1alpha1.AuditEvent {
	t.Helper()
	wanted.Trail = v1alpha1.TrailReference{Namespace: "trailkeeper-system", Name: "security", UID: "t1"}
	if wanted.Level == "" {
		wanted.Level = v1alpha1.LevelChanges
	}
	return newChange(t, r).Event(wanted, "01j", received)
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	out, err := json.Marshal(value)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(out)
}

func TestClassification(t *testing.T) {
	deleting := `{"metadata":{"name":"web","uid":"u1","deletionTimestamp":"2026-03-01T11:00:00Z","finalizers":["x/y"]}}`
	tests := map[string]struct {
		request   *admissionv1.AdmissionRequest
		action    v1alpha1.Action
		namespace string
		name      string
	}{
		"update": {request(), v1alpha1.ActionUpdate, "shop", "web"},
		"create": {request(operation(admissionv1.Create), objects("", `{"metadata":{"name":"web","uid":"u1"}}`)), v1alpha1.ActionCreate, "shop", "web"},
		"deletecollection has no name": {
			request(operation(admissionv1.Delete), objects(`{"metadata":{"name":"web-2","uid":"u1"}}`, ""), func(r *admissionv1.AdmissionRequest) { r.Name = "" }),
			v1alpha1.ActionDelete, "shop", "web-2",
		},
		"generated name is not known": {
			request(operation(admissionv1.Create), objects("", `{"metadata":{"generateName":"job-"}}`), func(r *admissionv1.AdmissionRequest) { r.Name = "" }),
			v1alpha1.ActionCreate, "shop", "job-?",
		},
		"a namespace has no namespace": {
			request(kind("", "Namespace", "namespaces", ""), func(r *admissionv1.AdmissionRequest) { r.Name = "shop" }),
			v1alpha1.ActionUpdate, "", "shop",
		},
		"eviction deletes": {
			request(operation(admissionv1.Create), kind("policy", "Eviction", "pods", "eviction"), objects("", `{"metadata":{"name":"web"}}`)),
			v1alpha1.ActionDelete, "shop", "web",
		},
		"removing the last finalizer deletes": {
			request(objects(deleting, `{"metadata":{"name":"web","uid":"u1","deletionTimestamp":"2026-03-01T11:00:00Z"}}`)),
			v1alpha1.ActionDelete, "shop", "web",
		},
		"connect": {request(operation(admissionv1.Connect), kind("", "PodExecOptions", "pods", "exec"), objects("", `{"command":["sh"]}`)), v1alpha1.ActionConnect, "shop", "web"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			spec := event(t, test.request, Wanted{}).Spec
			g.Expect(spec.Action).To(Equal(test.action))
			g.Expect(spec.Resource.Namespace).To(Equal(test.namespace))
			g.Expect(spec.Resource.Name).To(Equal(test.name))
		})
	}
}

func TestChangesLeaveOutBookkeeping(t *testing.T) {
	g := NewWithT(t)
	r := request(objects(
		`{"metadata":{"uid":"u1","resourceVersion":"7","generation":1,"managedFields":[{"manager":"a"}]},"data":{"a":"1","b":"x"}}`,
		`{"metadata":{"uid":"u1","resourceVersion":"7","generation":2,"managedFields":[{"manager":"b"}]},"data":{"a":"2","c":9007199254740993}}`))

	spec := event(t, r, Wanted{}).Spec

	g.Expect(encoded(t, spec.Changes)).To(MatchJSON(`[
		{"op":"replace","path":"/data/a","from":"1","value":"2"},
		{"op":"remove","path":"/data/b","from":"x"},
		{"op":"add","path":"/data/c","value":9007199254740993}]`))
	g.Expect(spec.Resource.ResourceVersion).To(Equal("7"))
}

func TestLevels(t *testing.T) {
	g := NewWithT(t)
	metadata := event(t, request(), Wanted{Level: v1alpha1.LevelMetadata}).Spec
	g.Expect(metadata.Changes).To(BeEmpty())
	g.Expect(metadata.Object).To(BeNil())
	g.Expect(metadata.Evidence).To(HaveLen(1), "the outcome is judged at every level")

	whole := event(t, request(), Wanted{Level: v1alpha1.LevelObject}).Spec
	g.Expect(whole.Changes).To(HaveLen(1))
	g.Expect(string(whole.Object.Raw)).To(ContainSubstring(`"a":"2"`))

	created := event(t, request(operation(admissionv1.Create), objects("", `{"data":{"a":"1"}}`)), Wanted{}).Spec
	g.Expect(encoded(t, created.Changes)).To(MatchJSON(`[{"op":"add","path":"","value":{"data":{"a":"1"}}}]`))
}

func TestNoise(t *testing.T) {
	same := `{"metadata":{"uid":"u1","resourceVersion":"7","managedFields":[]},"data":{"a":"1"}}`
	deleting := `{"metadata":{"uid":"u1","deletionTimestamp":"2026-03-01T11:00:00Z"}}`
	g := NewWithT(t)
	g.Expect(newChange(t, request()).Noise()).To(BeFalse())
	g.Expect(newChange(t, request(objects(same, strings.Replace(same, `"7"`, `"8"`, 1)))).Noise()).To(BeTrue())

	kubelet, err := NewChange(request(operation(admissionv1.Delete), objects(deleting, "")), v1alpha1.ActorNode, testDigester)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(kubelet.Noise()).To(BeTrue())
	g.Expect(newChange(t, request(operation(admissionv1.Delete), objects(deleting, ""))).Noise()).To(BeFalse())
}

func TestNoteCountsOnlyWhenItChanges(t *testing.T) {
	with := func(annotations string) string { return `{"metadata":{"annotations":{` + annotations + `}},"data":{}}` }
	tests := map[string]struct{ before, after, want string }{
		"new":            {"", `"audit.trailkeeper.dev/note":"why"`, "why"},
		"old":            {`"audit.trailkeeper.dev/note":"why"`, `"audit.trailkeeper.dev/note":"why"`, ""},
		"change-cause":   {"", `"kubernetes.io/change-cause":"kubectl set image"`, "kubectl set image"},
		"note wins":      {"", `"audit.trailkeeper.dev/note":"why","kubernetes.io/change-cause":"cause"`, "why"},
		"removed":        {`"audit.trailkeeper.dev/note":"why"`, "", ""},
		"too long a one": {"", `"audit.trailkeeper.dev/note":"` + strings.Repeat("ü", 300) + `"`, strings.Repeat("ü", 255)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spec := event(t, request(objects(with(test.before), with(test.after))), Wanted{}).Spec
			NewWithT(t).Expect(spec.Note).To(Equal(test.want))
		})
	}
}

func TestSecretsNeverShow(t *testing.T) {
	const planted = "hunter2-planted"
	base64Planted := base64.StdEncoding.EncodeToString([]byte(planted))
	secret := func(value string) string {
		return fmt.Sprintf(`{"metadata":{"uid":"u1","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"k\":\"%[1]s\"}}"}},
			"data":{"k":%[1]q},"stringData":{"s":%[2]q}}`, value, planted)
	}
	requests := map[string]*admissionv1.AdmissionRequest{
		"create": request(kind("", "Secret", "secrets", ""), operation(admissionv1.Create), objects("", secret(base64Planted))),
		"update": request(kind("", "Secret", "secrets", ""), objects(secret("bm9uZQ=="), secret(base64Planted))),
		"delete": request(kind("", "Secret", "secrets", ""), operation(admissionv1.Delete), objects(secret(base64Planted), "")),
		"exec":   request(kind("", "PodExecOptions", "pods", "exec"), operation(admissionv1.Connect), objects("", `{"command":["login","`+planted+`"]}`)),
		"token": request(kind("authentication.k8s.io", "TokenRequest", "serviceaccounts", "token"), operation(admissionv1.Create),
			objects("", `{"spec":{"audiences":["x"]},"status":{"token":"`+planted+`"}}`)),
	}
	for name, r := range requests {
		for _, level := range []v1alpha1.Level{v1alpha1.LevelMetadata, v1alpha1.LevelChanges, v1alpha1.LevelObject} {
			t.Run(name+" "+string(level), func(t *testing.T) {
				g := NewWithT(t)
				e := event(t, r, Wanted{Level: level})
				text := encoded(t, e)
				g.Expect(text).NotTo(ContainSubstring(planted))
				g.Expect(text).NotTo(ContainSubstring(base64Planted))
				if level != v1alpha1.LevelMetadata {
					g.Expect(e.Spec.Redacted).NotTo(BeEmpty())
				}
			})
		}
	}
}

func TestSecretChangeIsVisible(t *testing.T) {
	g := NewWithT(t)
	r := request(kind("", "Secret", "secrets", ""), objects(`{"data":{"k":"YQ==","same":"eA=="}}`, `{"data":{"k":"Yg==","same":"eA=="}}`))

	changes := event(t, r, Wanted{}).Spec.Changes

	g.Expect(changes).To(HaveLen(1))
	g.Expect(*changes[0].Path).To(Equal("/data/k"))
	g.Expect(string(changes[0].Value.Raw)).To(HavePrefix(`"redacted:`))
	g.Expect(changes[0].Value.Raw).NotTo(Equal(changes[0].From.Raw))
}

func TestTrailRedactionLeavesOtherTrailsAlone(t *testing.T) {
	g := NewWithT(t)
	c := newChange(t, request(objects(
		`{"spec":{"containers":[{"env":[{"name":"A","value":"planted-1"}]}]}}`,
		`{"spec":{"containers":[{"env":[{"name":"A","value":"planted-2"}]}]}}`)))
	path := [][]string{{"spec", "containers", "*", "env", "*", "value"}}

	hidden := c.Event(Wanted{Level: v1alpha1.LevelObject, Redact: path}, "a", received)
	shown := c.Event(Wanted{Level: v1alpha1.LevelObject}, "b", received)

	g.Expect(encoded(t, hidden)).NotTo(ContainSubstring("planted"))
	g.Expect(hidden.Spec.Redacted).To(Equal([]string{"/spec/containers/0/env/0/value"}))
	g.Expect(encoded(t, shown)).To(ContainSubstring("planted-2"))
	g.Expect(hidden.Spec.ID).To(Equal(shown.Spec.ID))
}

func TestEvidenceTellsWhatTheObjectShows(t *testing.T) {
	evidence := event(t, request(objects(
		`{"metadata":{"resourceVersion":"7"},"spec":{"a/b":1,"list":[1,2],"gone":true},"status":{"x":1}}`,
		`{"metadata":{"resourceVersion":"7"},"spec":{"a/b":2,"list":[1,2,3],"new":null},"status":{"x":2}}`)), Wanted{}).Spec.Evidence
	tests := map[string]struct {
		object string
		want   Sighting
	}{
		"after":   {`{"spec":{"a/b":2,"list":[1,2,3],"new":null,"other":1},"status":{"x":2}}`, SawAfter},
		"before":  {`{"spec":{"a/b":1,"list":[1,2],"gone":true},"status":{"x":1}}`, SawBefore},
		"mixture": {`{"spec":{"a/b":2,"list":[1,2],"gone":true},"status":{"x":1}}`, SawNeither},
		"other":   {`{"spec":{"a/b":3,"list":[]}}`, SawNeither},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			got, err := Sight(testDigester, evidence, []byte(test.object))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got).To(Equal(test.want))
		})
	}
}

func TestLargeEventIsCutAndSaysSo(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	many := make([]string, 6000)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":"%d"`, i, i)
	}
	requests := map[string]*admissionv1.AdmissionRequest{
		"one large value": request(objects(`{"data":{"a":"1"}}`, `{"data":{"a":"`+huge+`"}}`)),
		"many values":     request(objects(`{"data":{}}`, `{"data":{`+strings.Join(many, ",")+`}}`)),
		"a long key":      request(objects(`{"data":{}}`, `{"data":{"`+strings.Repeat("k", 5000)+`":"1"}}`)),
		"the user's extra": request(func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Extra = map[string]authenticationv1.ExtraValue{"x": {huge}}
		}),
		"many groups of it": request(func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Groups = strings.Split(strings.Repeat("g ", 200_000), " ")
		}),
	}
	for name, r := range requests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			e := event(t, r, Wanted{Level: v1alpha1.LevelObject})
			g.Expect(len(encoded(t, e.Spec))).To(BeNumerically("<=", maxSpec))
			g.Expect(len(e.Spec.Changes)).To(BeNumerically("<=", maxChanges))
			g.Expect(e.Spec.Truncated).NotTo(BeEmpty())
			g.Expect(e.Spec.Actor.Username).To(Equal("alice"))
			g.Expect(e.Spec.Resource.Name).To(Equal("web"))
		})
	}
}

func TestIDNamesTheChange(t *testing.T) {
	g := NewWithT(t)
	id := func(edits ...func(*admissionv1.AdmissionRequest)) string {
		return event(t, request(edits...), Wanted{}).Spec.ID
	}
	same := id(func(r *admissionv1.AdmissionRequest) { r.UID = "req-2" })

	g.Expect(id()).To(Equal(same), "a repeated call for one change has the same id")
	g.Expect(id(func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "bob" })).NotTo(Equal(same))
	g.Expect(id(objects(`{"metadata":{"uid":"u1","resourceVersion":"8"}}`, `{"metadata":{"uid":"u1"},"data":{"a":"2"}}`))).NotTo(Equal(same))
}

func TestDryRun(t *testing.T) {
	g := NewWithT(t)
	yes := true
	g.Expect(DryRun(request())).To(BeFalse())
	g.Expect(DryRun(request(func(r *admissionv1.AdmissionRequest) { r.DryRun = &yes }))).To(BeTrue())
	g.Expect(DryRun(request(kind("policy", "Eviction", "pods", "eviction"),
		objects("", `{"deleteOptions":{"dryRun":["All"]}}`)))).To(BeTrue())
}

func TestObjectsThatAreNotJSONAreRefused(t *testing.T) {
	_, err := NewChange(request(objects(`[]`, `{}`)), v1alpha1.ActorUser, testDigester)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("oldObject")))
}
