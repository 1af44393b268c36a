package audit

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var levels = []v1alpha1.Level{v1alpha1.LevelMetadata, v1alpha1.LevelChanges, v1alpha1.LevelObject}

// FuzzReview has any request made into events: it must not panic, and what comes out must keep to its bounds.
func FuzzReview(f *testing.F) {
	for _, seed := range []string{
		`{"uid":"1","operation":"UPDATE","name":"web","oldObject":{"data":{"a":"1"}},"object":{"data":{"a":"2","b":null}}}`,
		`{"uid":"1","operation":"CREATE","object":{"metadata":{"generateName":"job-"},"spec":{"list":[1,[2,{"x":1e400}]]}}}`,
		`{"uid":"1","operation":"DELETE","oldObject":{"metadata":{"finalizers":["a/b"],"deletionTimestamp":"x"}}}`,
		`{"uid":"1","operation":"CONNECT","kind":{"kind":"PodExecOptions"},"subResource":"exec","object":{"command":["sh"]},"options":{"fieldManager":1}}`,
		`{"uid":"1","operation":"CREATE","resource":{"resource":"pods"},"subResource":"eviction","object":{"deleteOptions":{"dryRun":"All"}}}`,
		`{"uid":"1","operation":"UPDATE","kind":{"kind":"Secret"},"oldObject":{"data":[1,2]},"object":{"data":{"~/":"x"},"stringData":"x"}}`,
		`{"uid":"1","operation":"UPDATE","oldObject":{"metadata":[]},"object":{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"\ud800"}}}}`,
		`{"uid":"1","operation":"UPDATE","oldObject":[],"object":"x"}`,
		`{"uid":"1","operation":"?","userInfo":{"username":"alice","groups":[""],"extra":{"":[""]}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var r admissionv1.AdmissionRequest
		if json.Unmarshal(input, &r) != nil {
			return
		}
		DryRun(&r)
		c, err := NewChange(&r, v1alpha1.ActorUser, testDigester)
		if err != nil {
			return
		}
		c.Noise()
		for _, level := range levels {
			e := c.Event(Wanted{Level: level, Redact: [][]string{{"data", "*"}, {"spec", "list", "0"}}}, "01j", received)
			checkBounds(t, &e.Spec)
			if _, err := Sight(testDigester, e.Spec.Evidence, r.Object.Raw); len(r.Object.Raw) > 0 && err != nil {
				t.Errorf("what was decoded once cannot be again: %v", err)
			}
		}
	})
}

func checkBounds(t *testing.T, spec *v1alpha1.AuditEventSpec) {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatalf("an event that cannot be encoded: %v", err)
	}
	if len(text) > maxSpec {
		t.Errorf("the event has %d bytes, at most %d are allowed", len(text), maxSpec)
	}
	if len(spec.Changes) > maxChanges || len(spec.Redacted) > maxRedacted || len(spec.Evidence) > maxEvidence || len(spec.Truncated) > 8 {
		t.Errorf("%d changes, %d redacted, %d evidence, %d truncated are too many",
			len(spec.Changes), len(spec.Redacted), len(spec.Evidence), len(spec.Truncated))
	}
	if len([]rune(spec.Note)) > maxNote || len([]rune(spec.Resource.Name)) > maxName {
		t.Error("a note or name is too long")
	}
}

// FuzzRedaction plants a secret where secrets are, and looks for it in the events as text, as base64 and as a list of
// byte values.
func FuzzRedaction(f *testing.F) {
	for _, secret := range []string{"hunter2-planted", "p@ss \"word\" <&>", "pässwörter\n", "\x00\x01\x02\xff binary", "redacted:no", `{"json":1}`, "-----BEGIN"} {
		f.Add(secret, "password", false)
		f.Add(secret, "a/b~c", true)
		f.Add(secret, "", true)
	}
	f.Fuzz(func(t *testing.T, secret, key string, update bool) {
		// What is short or occurs by chance proves nothing.
		if len(secret) < 7 || strings.Contains(key, secret) {
			return
		}
		for place, objectJSON := range plantedObjects(t, secret, key) {
			for _, level := range levels {
				shown := eventText(t, place, objectJSON, level, update)
				bare := eventText(t, place, plantedObjects(t, "", key)[place], level, update)
				for form, text := range formsOf(t, secret) {
					if strings.Contains(shown, text) && !strings.Contains(bare, text) {
						t.Errorf("%s at level %s shows the secret as %s: %s", place, level, form, shown)
					}
				}
			}
		}
	})
}

// plantedObjects are objects with the secret in the place that they are named by.
func plantedObjects(t *testing.T, secret, key string) map[string]string {
	t.Helper()
	encoded64 := base64.StdEncoding.EncodeToString([]byte(secret))
	annotated := func(inner any) object {
		return object{"metadata": object{"annotations": object{lastAppliedAnnotation: encoded(t, inner)}}}
	}
	objects := map[string]any{
		"data":         object{"data": object{key: encoded64}},
		"stringData":   object{"stringData": object{key: secret}},
		"last-applied": annotated(object{"stringData": object{key: secret}, "data": object{key: encoded64}}),
		"exec":         object{"command": []any{"login", key, secret}},
		"attach":       object{"command": secret},
		"token":        object{"spec": object{"audiences": []any{secret}}, "status": object{"token": secret}},
		"csr":          object{"spec": object{"request": encoded64}, "status": object{"certificate": encoded64}},
		"pods/proxy":   object{"path": "/login?password=" + secret},
	}
	texts := map[string]string{}
	for place, o := range objects {
		texts[place] = encoded(t, o)
	}
	return texts
}

// eventText is the event of a request with the object, as the API server gets it.
func eventText(t *testing.T, place, objectJSON string, level v1alpha1.Level, update bool) string {
	t.Helper()
	kinds := map[string]func(*admissionv1.AdmissionRequest){
		"data":         kind("", "Secret", "secrets", ""),
		"stringData":   kind("", "Secret", "secrets", ""),
		"last-applied": kind("", "ConfigMap", "configmaps", ""),
		"exec":         kind("", "PodExecOptions", "pods", "exec"),
		"attach":       kind("", "PodAttachOptions", "pods", "attach"),
		"token":        kind("authentication.k8s.io", "TokenRequest", "serviceaccounts", "token"),
		"csr":          kind("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests", ""),
		"pods/proxy":   kind("", "PodProxyOptions", "pods", "proxy"),
	}
	r := request(kinds[place], operation(admissionv1.Create), objects("", objectJSON))
	if update {
		r = request(kinds[place], objects(objectJSON, `{"data":{"other":"eA=="}}`))
	}
	return encoded(t, event(t, r, Wanted{Level: level}))
}

// formsOf are the ways in which a secret could show.
func formsOf(t *testing.T, secret string) map[string]string {
	t.Helper()
	quoted := encoded(t, secret)
	values := make([]string, len(secret))
	for i := range len(secret) {
		values[i] = strconv.Itoa(int(secret[i]))
	}
	return map[string]string{
		"text":        secret,
		"JSON":        quoted[1 : len(quoted)-1],
		"base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64url":   base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"byte values": strings.Join(values, ","),
	}
}
