package observer

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestTokensAreCutOutOfTheOwnConfiguration(t *testing.T) {
	known := strings.Repeat("0123abcd", 4)
	o := New(Options{OwnName: "trailkeeper-recorder"})
	for name, test := range map[string]struct {
		object string
		hidden bool
	}{
		"by service": {`{"kind":"ValidatingWebhookConfiguration","metadata":{"name":"trailkeeper-recorder"},
			"webhooks":[{"clientConfig":{"service":{"path":"/record/note/TOKEN"}}},{"clientConfig":{"service":{"path":"/record/fail/TOKEN"}}}]}`, true},
		"by URL": {`{"kind":"ValidatingWebhookConfiguration","metadata":{"name":"trailkeeper-recorder"},
			"webhooks":[{"clientConfig":{"url":"https://127.0.0.1:9443/record/note/TOKEN"}}]}`, true},
		"emptied": {`{"kind":"ValidatingWebhookConfiguration","metadata":{"name":"trailkeeper-recorder"}}`, true},
		"somebody else's": {`{"kind":"ValidatingWebhookConfiguration","metadata":{"name":"theirs"},
			"webhooks":[{"clientConfig":{"url":"https://127.0.0.1:9443/TOKEN"}}]}`, false},
		"of another kind": {`{"kind":"ValidatingAdmissionPolicy","metadata":{"name":"trailkeeper-recorder"},
			"webhooks":[{"clientConfig":{"url":"https://127.0.0.1:9443/TOKEN"}}]}`, false},
		"of attempts": {`{"kind":"MutatingWebhookConfiguration","metadata":{"name":"trailkeeper-recorder"},
			"webhooks":[{"clientConfig":{"url":"https://127.0.0.1:9443/record/attempt/TOKEN"}}]}`, true},
		"another path": {`{"kind":"ValidatingWebhookConfiguration","metadata":{"name":"trailkeeper-recorder"},
			"webhooks":[{"clientConfig":{"url":"https://evil.example.com/TOKEN/x"}}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			object := &unstructured.Unstructured{}
			g.Expect(json.Unmarshal([]byte(strings.ReplaceAll(test.object, "TOKEN", known)), &object.Object)).To(Succeed())
			kept, err := o.transform(object)
			g.Expect(err).NotTo(HaveOccurred())
			shown, err := json.Marshal(kept)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(strings.Contains(string(shown), known)).To(Equal(!test.hidden), string(shown))
			g.Expect(strings.Count(string(shown), withoutToken+`"`)).To(Equal(strings.Count(test.object, "TOKEN") * map[bool]int{true: 1}[test.hidden]))
		})
	}
}
