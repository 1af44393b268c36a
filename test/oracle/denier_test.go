package oracle

import (
	"encoding/json"
	"encoding/pem"
	"hash/fnv"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// denier is somebody else's webhook, which refuses a third of everything that people do to their teams' objects,
// sometimes before the recorder has answered and sometimes after.
type denier struct {
	denied, asked atomic.Int64
	// slowest is how long a quarter of the answers take at most, in nanoseconds.
	slowest atomic.Int64
}

func startDenier(w *world) *denier {
	w.t.Helper()
	d := &denier{}
	d.slowest.Store(int64(40 * time.Millisecond))
	server := httptest.NewTLSServer(d)
	w.t.Cleanup(server.Close)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	scope := admissionregistrationv1.AllScopes
	w.create(&admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "denier"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:                    "denier.example.com",
			ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: ptr.To(server.URL), CABundle: bundle},
			FailurePolicy:           ptr.To(admissionregistrationv1.Ignore),
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
			MatchConditions: []admissionregistrationv1.MatchCondition{
				{Name: "people", Expression: `request.userInfo.username.startsWith("user-")`},
				{Name: "others", Expression: `request.resource.group != "audit.trailkeeper.dev"`},
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}, Scope: &scope,
				},
			}},
		}},
	})
	return d
}

func (d *denier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(review.Request.UID))
	chance := hash.Sum32()
	d.asked.Add(1)
	response := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: chance%3 != 0}
	if !response.Allowed {
		d.denied.Add(1)
		response.Result = &metav1.Status{Message: "a third is refused"}
	}
	if chance/3%4 == 0 {
		timer := time.NewTimer(time.Duration(d.slowest.Load()) / 1024 * time.Duration(chance/12%1024))
		defer timer.Stop()
		<-timer.C
	}
	review.Response, review.Request = response, nil
	_ = json.NewEncoder(w).Encode(&review)
}

// expectBusy makes sure that the denier was asked and refused its share, but for chance: one run in 15,000 is further off than four standard
// deviations.
func (d *denier) expectBusy(g Gomega) {
	const share = 1.0 / 3
	asked := float64(d.asked.Load())
	g.Expect(asked).To(BeNumerically(">", 100))
	g.Expect(float64(d.denied.Load()) / asked).To(BeNumerically("~", share, 4*math.Sqrt(share*(1-share)/asked)))
}
