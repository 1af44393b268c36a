package query_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patience is within which the control plane and the operator do what a test waits for, on a busy machine.
const patience = time.Minute

// clientOf trusts the authority that the operator's webhook has, and no other.
func clientOf(g Gomega, t *testing.T, w *world) *http.Client {
	t.Helper()
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	g.Expect(w.admin.Get(t.Context(), client.ObjectKey{Name: "trailkeeper-recorder"}, configuration)).To(Succeed())
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(configuration.Webhooks[0].ClientConfig.CABundle)).To(BeTrue())
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
}

func do(g Gomega, client *http.Client, request *http.Request) reply {
	response, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return reply{response.StatusCode, response.Header, body}
}
