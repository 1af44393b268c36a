package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

func webhookTestTrail(namespace string, policy v1alpha1.FailurePolicy, list ...v1alpha1.Rule) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "trail-"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeClusterOnly, Rules: list, Recording: v1alpha1.RecordingPolicy{FailurePolicy: policy},
		},
	}
}

func tokenRequest() *authenticationv1.TokenRequest {
	return &authenticationv1.TokenRequest{}
}

func coreEvent(namespace, name string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: name},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "x"},
	}
}

func configMap(namespace, name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// One API server serves all: starting one takes most of the time.
func TestWebhookConfiguration(t *testing.T) {
	rec := startRecording(t)
	for _, step := range []struct {
		name string
		run  func(t *testing.T, rec *recording)
	}{
		{"a project trail sees its namespace only", projectTrail},
		{"a tenant trail sees what its rules ask for", tenantTrail},
		{"names that CEL cannot see yet", unknownNames},
		{"a fail trail is never in the way of the control plane", failTrail},
		{"the operator's own records are left out", ownRecords},
		{"the default rules", defaultRules},
		{"labels of namespaces reach the recorder", namespaceLabels},
		{"restored when deleted or edited", restored},
		{"left deleted by a replica that stops", leftDeleted},
		{"no trail, no call", noTrail},
	} {
		if !t.Run(step.name, func(t *testing.T) {
			here := *rec
			here.t = t
			step.run(t, &here)
		}) {
			return
		}
	}
}

func projectTrail(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice")
	rec.trails(webhookTestTrail("prod", v1alpha1.FailurePolicyIgnore, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps", "namespaces"}}},
	}))
	rec.marker(func(ctx context.Context) error {
		return alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", GenerateName: "marker-"}})
	})
	g.Expect(alice.Create(ctx, configMap("prod", "a"))).To(Succeed())
	g.Expect(alice.Create(ctx, configMap("dev", "a"))).To(Succeed())
	g.Expect(alice.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "a"}})).To(Succeed())
	g.Expect(alice.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"tier":"gold"}}}`)))).To(Succeed())
	g.Expect(alice.Delete(ctx, configMap("prod", "a"))).To(Succeed())
	g.Expect(rec.calls.take()).To(Equal([]string{
		"/record/ignore CREATE configmaps prod a alice",
		"/record/ignore DELETE configmaps prod a alice",
	}))
	g.Expect(alice.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace("prod"))).To(Succeed())
	g.Expect(rec.calls.take()).To(ContainElement(HavePrefix("/record/ignore DELETE configmaps prod (marker-")))
}

func tenantTrail(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice", `dev's "team"`)
	node := rec.as("system:node:n1", "system:nodes")
	rec.trails(webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyIgnore,
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Actors: []v1alpha1.ActorType{v1alpha1.ActorNode}},
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Groups: []string{"bots-*"}},
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Namespaces: []string{"pr*"}},
		v1alpha1.Rule{
			Level: v1alpha1.LevelMetadata, Groups: []string{`dev's "team"`},
			Resources: []v1alpha1.GroupResources{{Group: "*", Resources: []string{"*", "serviceaccounts/token", "*/scale"}}},
		},
	))
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "app"}}
	rec.marker(func(ctx context.Context) error {
		return alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", GenerateName: "marker-"}})
	})
	g.Expect(alice.Create(ctx, account)).To(Succeed())
	g.Expect(alice.SubResource("token").Create(ctx, account, tokenRequest())).To(Succeed())
	g.Expect(alice.Create(ctx, configMap("prod", "left-out"))).To(Succeed())
	g.Expect(node.Create(ctx, configMap("dev", "by-a-node"))).To(Succeed())
	g.Expect(rec.as("robot", "bots-1", `dev's "team"`).Create(ctx, configMap("dev", "by-a-bot"))).To(Succeed())
	g.Expect(rec.as("bob").Create(ctx, configMap("dev", "by-another-group"))).To(Succeed())
	g.Expect(alice.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod"}},
		client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"tier":"tin"}}}`)))).To(Succeed())
	g.Expect(rec.calls.take()).To(Equal([]string{
		"/record/ignore CREATE serviceaccounts dev app alice",
		"/record/ignore CREATE serviceaccounts/token dev app alice",
		"/record/ignore UPDATE namespaces prod prod alice", // a Namespace is not in a namespace, whatever it is called
	}))
}

// A generated name may be missing in what CEL sees: a rule about names must then let the recorder judge.
func unknownNames(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice")
	rec.trails(webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyIgnore,
		v1alpha1.Rule{Level: v1alpha1.LevelNone, Names: []string{"left-out", "gen-not-*"}},
		v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Names: []string{"gen-*", "named"}, Namespaces: []string{"dev"},
			Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}}},
	))
	rec.marker(func(ctx context.Context) error {
		return alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", GenerateName: "gen-"}})
	})
	g.Expect(alice.Create(ctx, configMap("dev", "named"))).To(Succeed())
	g.Expect(alice.Create(ctx, configMap("dev", "left-out"))).To(Succeed())
	g.Expect(alice.Create(ctx, configMap("dev", "other"))).To(Succeed())
	g.Expect(rec.calls.take()).To(Equal([]string{"/record/ignore CREATE configmaps dev named alice"}))
	g.Expect(alice.DeleteAllOf(ctx, &corev1.ConfigMap{}, client.InNamespace("dev"))).To(Succeed())
	g.Expect(rec.calls.take()).To(ContainElement(HavePrefix("/record/ignore DELETE configmaps dev (gen-")))
}

func failTrail(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice")
	rec.trails(webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyFail, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Users: []string{"alice"},
		Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps", "namespaces"}}},
	}))
	rec.marker(func(ctx context.Context) error {
		return alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", GenerateName: "marker-"}})
	})
	label := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{"at":"%d"}}}`, time.Now().Unix()))
	g.Expect(alice.Create(ctx, configMap("prod", "f"))).To(Succeed())
	g.Expect(alice.Create(ctx, configMap("kube-system", "f"))).To(Succeed())
	g.Expect(alice.Create(ctx, configMap(webhookTestNamespace, "f"))).To(Succeed())
	for _, name := range []string{"prod", "kube-system"} {
		g.Expect(alice.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, label)).To(Succeed())
	}
	g.Expect(rec.calls.take()).To(Equal([]string{
		"/record/fail CREATE configmaps prod f alice",
		"/record/ignore CREATE configmaps kube-system f alice",
		"/record/ignore CREATE configmaps trailkeeper-system f alice",
		"/record/fail UPDATE namespaces prod prod alice",
		"/record/ignore UPDATE namespaces kube-system kube-system alice",
	}))
}

func ownRecords(t *testing.T, rec *recording) {
	g, ctx := NewWithT(t), t.Context()
	operator := rec.as(rules.ServiceAccountUsername(webhookTestNamespace))
	rec.trails(webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyIgnore, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Operations: []v1alpha1.Operation{v1alpha1.OperationCreate},
	}))
	rec.marker(func(ctx context.Context) error {
		return operator.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", GenerateName: "marker-"}})
	})
	create := func(c client.Client, name string) {
		trail := webhookTestTrail("dev", v1alpha1.FailurePolicyIgnore, v1alpha1.Rule{Level: v1alpha1.LevelNone})
		trail.GenerateName, trail.Name = "", name
		g.Expect(c.Create(ctx, trail)).To(Succeed())
	}
	create(operator, "ours")
	create(rec.as("mallory"), "theirs")
	g.Expect(rec.calls.take()).To(Equal([]string{"/record/ignore CREATE audittrails dev theirs mallory"}))
}

func defaultRules(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice")
	controller := rec.as("system:serviceaccount:kube-system:deployment-controller")
	rec.trails(webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyIgnore))
	rec.marker(func(ctx context.Context) error {
		return alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", GenerateName: "marker-"}})
	})
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "dev", Name: "s"}}
	g.Expect(alice.Create(ctx, configMap("dev", "d"))).To(Succeed())
	g.Expect(alice.Create(ctx, coreEvent("dev", "e"))).To(Succeed())
	g.Expect(controller.Create(ctx, configMap("dev", "noise"))).To(Succeed())
	g.Expect(controller.Create(ctx, secret)).To(Succeed())
	g.Expect(controller.Delete(ctx, configMap("dev", "noise"))).To(Succeed())
	g.Expect(rec.calls.take()).To(Equal([]string{
		"/record/ignore CREATE configmaps dev d alice",
		"/record/ignore CREATE secrets dev s system:serviceaccount:kube-system:deployment-controller",
		"/record/ignore DELETE configmaps dev noise system:serviceaccount:kube-system:deployment-controller",
	}))
}

func namespaceLabels(t *testing.T, rec *recording) {
	g, ctx := NewWithT(t), t.Context()
	trail := webhookTestTrail(webhookTestNamespace, v1alpha1.FailurePolicyIgnore, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}},
	})
	rec.trails(trail)
	wants := func(namespace string) func() bool {
		return func() bool {
			req := rules.Request{Operation: "CREATE", Version: "v1", Resource: "pods", Namespace: namespace, Name: "x", Username: "alice"}
			return len(rec.store.Load().AppendMatches(nil, &req)) == 1
		}
	}
	label := func(value string) {
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{"team":%q}}}`, value))
		g.Expect(rec.client.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "dev"}}, patch)).To(Succeed())
	}
	g.Expect(wants("dev")()).To(BeFalse())
	g.Expect(wants("never-seen")()).To(BeTrue(), "never lose a record of a namespace that is not known yet")
	label("a")
	g.Eventually(wants("dev"), webhookTestPatience).Should(BeTrue())
	label("b")
	g.Eventually(wants("dev"), webhookTestPatience).Should(BeFalse())
}

func restored(t *testing.T, rec *recording) {
	g, ctx := NewWithT(t), t.Context()
	trail := webhookTestTrail("prod", v1alpha1.FailurePolicyIgnore)
	rec.trails(trail)
	intact := rec.configuration()
	g.Expect(rec.restored).NotTo(Receive(), "changes of trails are not tampering")

	g.Expect(rec.client.Delete(ctx, rec.configuration())).To(Succeed())
	g.Eventually(rec.restored, 2*time.Second).Should(Receive(Equal(controllers.RestoredDeleted)))
	g.Eventually(func() bool { return rec.webhooks.Recorded(trail) }, 2*time.Second).Should(BeTrue())
	g.Expect(rec.configuration().Webhooks).To(Equal(intact.Webhooks))

	edited := rec.configuration()
	edited.Webhooks[0].MatchConditions[0].Expression = "false"
	g.Expect(rec.client.Update(ctx, edited)).To(Succeed())
	g.Eventually(rec.restored, 2*time.Second).Should(Receive(Equal(controllers.RestoredEdited)))
	g.Eventually(func() bool { return rec.webhooks.Recorded(trail) }, 2*time.Second).Should(BeTrue())
	live := rec.configuration()
	g.Expect(live.Webhooks).To(Equal(intact.Webhooks))

	// Its own write is a reason to reconcile, and one that finds all in order writes nothing.
	g.Consistently(func() string { return rec.configuration().ResourceVersion }, time.Second, 20*time.Millisecond).Should(Equal(live.ResourceVersion))
}

func leftDeleted(t *testing.T, rec *recording) {
	g, ctx := NewWithT(t), t.Context()
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: controllers.WebhookConfigurationName},
	}
	missing := func() bool {
		return apierrors.IsNotFound(rec.client.Get(ctx, client.ObjectKeyFromObject(configuration), configuration))
	}
	rec.stopping.Store(true)
	g.Expect(rec.client.Delete(ctx, configuration)).To(Succeed())
	g.Consistently(missing, time.Second, 20*time.Millisecond).Should(BeTrue(), "another replica restores it within milliseconds")
	g.Expect(rec.restored).NotTo(Receive())

	rec.stopping.Store(false) // As the next leader.
	rec.certificates <- event.GenericEvent{Object: &corev1.Secret{}}
	g.Eventually(missing, webhookTestPatience).Should(BeFalse())
	g.Eventually(rec.restored, webhookTestPatience).Should(Receive(Equal(controllers.RestoredDeleted)))
}

func noTrail(t *testing.T, rec *recording) {
	g, ctx, alice := NewWithT(t), t.Context(), rec.as("alice")
	rec.trails()
	g.Eventually(func() int { return len(rec.configuration().Webhooks) }, 2*time.Second).Should(BeZero())
	g.Eventually(func() []string {
		g.Expect(alice.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", GenerateName: "x-"}})).To(Succeed())
		return rec.calls.take()
	}, webhookTestPatience).Should(BeEmpty())
	g.Expect(strings.Join(rec.calls.take(), "\n")).To(BeEmpty())
}
