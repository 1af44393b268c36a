package recording

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// The tests of this file are not parallel: they need that no other test's trail is there, or disturb recording.

// restoredWithin is how long the webhook configuration may be other than the trails ask for.
const restoredWithin = 2 * time.Second

func webhookConfiguration(t *testing.T) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	NewWithT(t).Expect(admin.Get(t.Context(), client.ObjectKey{Name: "trailkeeper-recorder"}, configuration)).To(Succeed())
	return configuration
}

// requestsSeen are the lines of the operator's metrics that count admission requests.
func requestsSeen(t *testing.T) []string {
	t.Helper()
	g := NewWithT(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, operator.MetricsURL, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(body)).To(ContainSubstring("trailkeeper_"))
	var lines []string
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "trailkeeper_recorder_requests_total{") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestWithoutTrailsNothingIsCalled(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project")
	startTrail(t, trail, namespace)
	g.Expect(webhookConfiguration(t).Webhooks).To(HaveLen(2), "what the rules ask for, and notes")
	g.Expect(requestsSeen(t)).NotTo(BeEmpty())

	deleteTrail(t, trail)
	g.Eventually(func() []admissionregistrationv1.ValidatingWebhook {
		return webhookConfiguration(t).Webhooks
	}).WithTimeout(restoredWithin).WithPolling(50 * time.Millisecond).Should(BeEmpty())

	// The API server acts on the empty list a moment after it took it.
	calledAtAll := func(g Gomega) {
		before := requestsSeen(t)
		_, err := alice.CoreV1().ConfigMaps(namespace).Create(t.Context(), generated(), createOptions)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(requestsSeen(t)).To(Equal(before))
	}
	g.Eventually(calledAtAll).WithTimeout(restoredWithin).WithPolling(50 * time.Millisecond).Should(Succeed())
	for range 10 {
		calledAtAll(g)
	}
}

func TestWebhookConfigurationIsRestored(t *testing.T) {
	tenant, namespace := newTenant(t, v1alpha1.Rule{
		Level: v1alpha1.LevelChanges, Kinds: []string{"ValidatingWebhookConfiguration"}, Names: []string{"trailkeeper-recorder"},
	})
	trail := clusterOnly(namespace, "project")
	startTrail(t, trail, namespace)
	t.Cleanup(func() { deleteTrail(t, trail) })
	observed := func() []v1alpha1.AuditEventSpec {
		return events(t, testenv.OperatorNamespace, ofTrail(tenant), named("trailkeeper-recorder"))
	}
	t.Cleanup(func() { deleteTrail(t, clusterOnly(testenv.OperatorNamespace, tenant)) })
	want := webhookConfiguration(t).Webhooks
	ignoreAll := []admissionregistrationv1.MatchCondition{{Name: "nothing", Expression: "false"}}

	for name, tamper := range map[string]func(*admissionregistrationv1.ValidatingWebhookConfiguration) error{
		"deleted": func(c *admissionregistrationv1.ValidatingWebhookConfiguration) error {
			return aliceClient.Delete(t.Context(), c)
		},
		"emptied": func(c *admissionregistrationv1.ValidatingWebhookConfiguration) error {
			c.Webhooks = nil
			return aliceClient.Update(t.Context(), c)
		},
		"edited": func(c *admissionregistrationv1.ValidatingWebhookConfiguration) error {
			c.Webhooks[0].MatchConditions = ignoreAll
			return aliceClient.Update(t.Context(), c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tampered := webhookConfiguration(t)
			began := time.Now()
			g.Expect(tamper(tampered)).To(Succeed())
			g.Eventually(func(g Gomega) {
				live := &admissionregistrationv1.ValidatingWebhookConfiguration{}
				g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(tampered), live)).To(Succeed())
				g.Expect(live.Webhooks).To(Equal(want))
			}).WithTimeout(restoredWithin).WithPolling(10 * time.Millisecond).Should(Succeed())
			t.Logf("restored after %s", time.Since(began).Round(time.Millisecond))
			waitRecording(t, trail, namespace, BeTrue())
		})
	}

	// What others did is recorded, as far as a watch can show it; what the operator wrote is not.
	NewWithT(t).Eventually(func(g Gomega) {
		g.Expect(observed()).To(HaveLen(3))
		for _, event := range observed() {
			g.Expect(event.Actor.Type).To(Equal(v1alpha1.ActorUnknown))
			g.Expect(event.Action).To(BeElementOf(v1alpha1.ActionUpdate, v1alpha1.ActionDelete))
		}
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())

	// The first is told at once, what follows soon after it is told together.
	NewWithT(t).Eventually(func(g Gomega) {
		restored := notices(t, namespace, about(v1alpha1.NoticeConfigurationRestored))
		g.Expect(len(restored)).To(BeNumerically("<=", 2))
		times := 0
		for i := range restored {
			what, often, _ := strings.Cut(restored[i].Notice.Message, ", and the operator restored it")
			g.Expect(what).To(MatchRegexp("Somebody (edited|deleted) the webhook configuration trailkeeper-recorder"))
			count := 1
			if often != "" {
				_, err := fmt.Sscanf(often, "; %d times", &count)
				g.Expect(err).NotTo(HaveOccurred())
			}
			times += count
		}
		g.Expect(times).To(Equal(3))
		gaps := notices(t, namespace, about(v1alpha1.NoticeGap))
		g.Expect(gaps).To(HaveLen(len(restored)))
		for i := range gaps {
			g.Expect(gaps[i].Notice.Start).To(Equal(restored[i].Notice.Start))
			g.Expect(gaps[i].Notice.Start.Time).To(BeTemporally("<", gaps[i].Notice.End.Time))
			g.Expect(gaps[i].Notice.Start.Time).To(BeTemporally(">", gaps[i].Notice.End.Add(-time.Minute)))
			g.Expect(gaps[i].Notice.Count).To(BeNil(), "nobody can tell how many")
		}
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
}

func TestChangesOfATrailAreTold(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project", everything())
	startTrail(t, trail, namespace)
	g.Expect(notices(t, namespace)).To(BeEmpty(), "a trail's first spec is no change")
	told := func() []string {
		var messages []string
		for _, notice := range notices(t, namespace, about(v1alpha1.NoticeConfigurationChanged)) {
			messages = append(messages, notice.Notice.Message)
		}
		return messages
	}
	edit := func(body string) {
		g.Expect(aliceClient.Patch(t.Context(), trail, client.RawPatch("application/merge-patch+json", []byte(body)))).To(Succeed())
	}

	edit(`{"spec":{"rules":[{"level":"Metadata"}]}}`)
	want := []string{"From now on the trail records what its generation 2 asks for"}
	g.Eventually(told).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Equal(want))
	edit(`{"spec":{"suspend":true}}`)
	want = append(want, "The trail is suspended: from now on it records nothing")
	g.Eventually(told).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Equal(want))

	notice := notices(t, namespace)[0]
	g.Expect(notice.Actor.Username).To(Equal("system:serviceaccount:trailkeeper-system:trailkeeper-manager"))
	g.Expect(notice.Actor.Type).To(Equal(v1alpha1.ActorServiceAccount))
	g.Expect(notice.Resource.Kind).To(Equal("AuditTrail"))
	g.Expect(notice.Resource.Name).To(Equal("project"))
	g.Expect(notice.Resource.UID).To(BeEquivalentTo(trail.UID))
	g.Expect(notice.Request).To(BeNil())
}

func TestSuspendedTrailRecordsNothing(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project")
	startTrail(t, trail, namespace)
	t.Cleanup(func() { deleteTrail(t, trail) })
	suspend := func(body string) {
		g.Expect(admin.Patch(t.Context(), trail, client.RawPatch("application/merge-patch+json", []byte(body)))).To(Succeed())
	}

	suspend(`{"spec":{"suspend":true}}`)
	waitRecording(t, trail, namespace, BeFalse())
	create(t, namespace, configMap("unseen"))
	g.Expect(events(t, namespace, named("unseen"))).To(BeEmpty())
	g.Expect(webhookConfiguration(t).Webhooks).To(BeEmpty())

	suspend(`{"spec":{"suspend":false}}`)
	waitRecording(t, trail, namespace, BeTrue())
	create(t, namespace, configMap("seen"))
	g.Expect(events(t, namespace, named("seen"))).To(HaveLen(1))
}

func TestFailRefusesWithoutRecorder(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(testenv.OperatorNamespace, "strict", everything())
	trail.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
	startTrail(t, trail, namespace)
	t.Cleanup(func() { deleteTrail(t, trail) })

	operator.Kill()
	t.Cleanup(func() {
		var err error
		operator, err = env.StartManager(context.WithoutCancel(t.Context()), options)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	})

	maps := func(namespace string) error {
		_, err := alice.CoreV1().ConfigMaps(namespace).Create(t.Context(), generated(), createOptions)
		return err
	}
	g.Expect(maps(namespace)).To(MatchError(ContainSubstring("fail.recorder.trailkeeper.dev")))
	g.Expect(maps("kube-system")).To(Succeed())
	g.Expect(maps(testenv.OperatorNamespace)).To(Succeed())
}
