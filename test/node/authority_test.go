package node

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/certs"
)

// rotate makes the webhook's authority old, as months would, and waits until the API server is given the old one and a new one.
func (r *rig) rotate() {
	r.t.Helper()
	g, ctx := NewWithT(r.t), r.t.Context()
	secret := &corev1.Secret{}
	g.Expect(r.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: certs.SecretName}, secret)).To(Succeed())
	before := secret.Data["ca.crt"]
	secret.Data["ca.crt"] = aged(g, before, secret.Data["ca.key"])
	g.Expect(r.admin.Update(ctx, secret)).To(Succeed())
	g.Eventually(ctx, func(g Gomega) {
		configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		g.Expect(r.admin.Get(ctx, client.ObjectKey{Name: controllers.WebhookConfigurationName}, configuration)).To(Succeed())
		g.Expect(configuration.Webhooks).NotTo(BeEmpty())
		for _, webhook := range configuration.Webhooks {
			g.Expect(bytes.Count(webhook.ClientConfig.CABundle, []byte("BEGIN CERTIFICATE"))).To(Equal(2))
		}
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}

// aged is the same authority with a certificate of which more than two thirds are over.
func aged(g *WithT, certificate, key []byte) []byte {
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	g.Expect(err).NotTo(HaveOccurred())
	block, _ = pem.Decode(key)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		private, err = x509.ParseECPrivateKey(block.Bytes)
	}
	g.Expect(err).NotTo(HaveOccurred(), "the key cannot be read") // The error shows nothing of it.
	parsed.NotBefore, parsed.NotAfter = time.Now().Add(-300*24*time.Hour), time.Now().Add(65*24*time.Hour)
	signer, ok := private.(crypto.Signer)
	g.Expect(ok).To(BeTrue())
	old, err := x509.CreateCertificate(rand.Reader, parsed, parsed, signer.Public(), signer)
	g.Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: old})
}
