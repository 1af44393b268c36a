package rules_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// widest is a trail at the bounds of the API.
func widest() v1alpha1.AuditTrail {
	t := tenant()
	for i := range 32 {
		rule := v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Groups: []string{fmt.Sprintf("a group's name %d", i), "dev-*"}}
		if i%2 == 0 {
			rule.Level = v1alpha1.LevelNone
			rule.Names = []string{fmt.Sprintf("n%d\\", i)}
			rule.Kinds = []string{fmt.Sprintf("Kind%d", i), "virtualCluster"}
			rule.FieldManagers = []string{"helm", "kubectl-*"}
		}
		t.Spec.Rules = append(t.Spec.Rules, rule)
	}
	return t
}

// A real API server parses the rules and compiles the expressions, and leaves the entries as they are: a field that it
// defaulted would look like an edit for ever.
func TestAPIServerAcceptsTheEntries(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("SKIPPED: KUBEBUILDER_ASSETS names no control plane; make test provides one")
	}
	g := NewWithT(t)
	env := &envtest.Environment{}
	t.Cleanup(func() { _ = env.Stop() }) // before Start, which leaves the processes when it fails half-way
	config, err := env.Start()
	g.Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	configurations := kubernetes.NewForConfigOrDie(config).AdmissionregistrationV1().ValidatingWebhookConfigurations()

	trails := [][]v1alpha1.AuditTrail{{tenant()}, {widest()}, {failing(widest())}}
	for seed := range uint64(150) {
		trails = append(trails, random{Rand: rand.New(rand.NewPCG(seed, 1))}.trails())
	}
	g.Expect(len(wanted(webhooks(widest())))).To(BeNumerically(">", 6000))
	for _, list := range trails {
		entries := webhooks(list...)
		created, err := configurations.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "trailkeeper-recorder"}, Webhooks: entries,
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		g.Expect(err).NotTo(HaveOccurred(), "%+v", entries)
		g.Expect(created.Webhooks).To(Equal(entries), "nothing is defaulted")
	}
}
