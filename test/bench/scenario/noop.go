package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NoopCommand is the first argument that makes the benchmark's program a webhook that admits everything. It runs as a
// process of its own, as the recorder does.
const NoopCommand = "noop-webhook"

// noopAddress is the one line that the webhook prints: where it is reached, and the certificate to trust.
type noopAddress struct {
	URL string
	CA  []byte
}

// ServeNoop admits everything until in ends, which is when the process that started it ends.
func ServeNoop(in io.Reader, out io.Writer) error {
	server := httptest.NewUnstartedServer(http.HandlerFunc(admit))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := json.NewEncoder(out).Encode(noopAddress{URL: server.URL, CA: ca}); err != nil {
		return fmt.Errorf("saying where the webhook is: %w", err)
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

// admit does the least that a webhook can do.
func admit(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Request struct {
			UID types.UID `json:"uid"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true},
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(&answer) // The API server notices by itself.
}

// startNoop starts the webhook and has the API server call it for ConfigMaps of its namespace.
func (r *Rig) startNoop(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	//nolint:gosec,noctx // It is this program itself, and ends with its input.
	command := exec.Command(program, NoopCommand)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return fmt.Errorf("starting the no-op webhook: %w", err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting the no-op webhook: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("starting the no-op webhook: %w", err)
	}
	r.closers = append(r.closers, func() {
		_ = input.Close()
		if err := command.Wait(); err != nil {
			r.say("The no-op webhook did not end well: %v", err)
		}
	})
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading where the no-op webhook is: %w", errors.Join(err, ctx.Err()))
	}
	var address noopAddress
	if err := json.Unmarshal(line, &address); err != nil {
		return fmt.Errorf("reading where the no-op webhook is: %w", err)
	}
	return r.create(ctx, noopConfiguration(address))
}

func noopConfiguration(at noopAddress) *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-noop"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "noop.bench.trailkeeper.dev",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &at.URL, CABundle: at.CA},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"configmaps"},
				},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": noopNamespace}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}
