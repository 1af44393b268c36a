package scenario

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// NoopCommand is the first argument that makes the benchmark's program a webhook that admits everything. It runs as a
// process of its own, as the recorder does.
const NoopCommand = "noop-webhook"

// admit does the least that a webhook can do.
func admit(w http.ResponseWriter, r *http.Request) {
	uid, err := readUID(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeAllowed(w, uid)
}

func readUID(body io.Reader) (types.UID, error) {
	var review struct {
		Request struct {
			UID types.UID `json:"uid"`
		} `json:"request"`
	}
	err := json.NewDecoder(body).Decode(&review)
	return review.Request.UID, err
}

func writeAllowed(w http.ResponseWriter, uid types.UID) {
	answer := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{UID: uid, Allowed: true},
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(&answer) // The API server notices by itself.
}

// startNoop starts the webhook and has the API server call it for ConfigMaps of its namespace.
func (r *Rig) startNoop(ctx context.Context) error {
	webhook, err := r.startWebhook(ctx, NoopCommand)
	if err != nil {
		return err
	}
	return testenv.Create(ctx, r.admin, webhookConfiguration("noop", noopNamespace, webhook.at))
}

// webhookConfiguration calls a webhook for the ConfigMaps of a namespace.
func webhookConfiguration(name, namespace string, at webhookAddress) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-" + name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         name + ".bench.trailkeeper.dev",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &at.URL, CABundle: at.CA},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"configmaps"},
				},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}
