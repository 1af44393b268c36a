package recording

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// The tests of this file are not parallel: they stop the operator.

func restartOperator(t *testing.T) {
	t.Helper()
	var err error
	operator, err = env.StartManager(context.WithoutCancel(t.Context()), options)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// While no replica is alive and a trail says Ignore, a record tells the window exactly.
func TestGapWhileNoReplicaWasAlive(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project", v1alpha1.Rule{Level: v1alpha1.LevelMetadata, Kinds: []string{"ConfigMap"}})
	startTrail(t, trail, namespace)
	strict := clusterOnly(testenv.OperatorNamespace, namespace, v1alpha1.Rule{
		Level: v1alpha1.LevelMetadata, Kinds: []string{"ConfigMap"}, Namespaces: []string{namespace}, Names: []string{testenv.ProbePrefix + "*"},
	})
	strict.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
	startTrail(t, strict, namespace)
	t.Cleanup(func() { deleteTrail(t, strict); deleteTrail(t, trail) })
	create(t, namespace, configMap("before"))

	operator.Kill()
	killed := time.Now()
	create(t, namespace, configMap("unseen"))
	unseen := time.Now()
	restartOperator(t)
	ready := time.Now()
	waitRecording(t, trail, namespace, BeTrue())

	g.Expect(events(t, namespace, named("unseen"))).To(BeEmpty())
	var gaps []v1alpha1.AuditEventSpec
	g.Eventually(func() []v1alpha1.AuditEventSpec {
		gaps = notices(t, namespace, about(v1alpha1.NoticeGap))
		return gaps
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(HaveLen(1))
	gap := gaps[0].Notice
	g.Expect(gap.Message).To(Equal("No replica of the operator was alive: changes may be missing"))
	g.Expect(gap.Start.Time).To(BeTemporally("<=", killed))
	g.Expect(gap.Start.Time).To(BeTemporally(">", killed.Add(-3*time.Second)))
	g.Expect(gap.End.Time).To(BeTemporally(">=", unseen))
	g.Expect(gap.End.Time).To(BeTemporally("<=", ready.Add(3*time.Second)))
	g.Expect(gaps[0].Time.Time).To(BeTemporally("==", gap.End.Time))
	t.Logf("the gap of %s is told as %s", unseen.Sub(killed).Round(time.Millisecond), gap.End.Sub(gap.Start.Time).Round(time.Millisecond))
	refused := notices(t, testenv.OperatorNamespace, ofTrail(namespace), about(v1alpha1.NoticeGap))
	g.Expect(refused).To(HaveLen(1))
	g.Expect(refused[0].Notice.Message).To(ContainSubstring("changes were refused, but in kube-system"))
	g.Expect(notices(t, namespace, about(v1alpha1.NoticeRecorderStarted))).To(HaveLen(1))

	// Delivery has nothing to find out about a notice.
	all := allEvents(t, namespace)
	waitDelivered(t, trail, all[len(all)-1].ResourceVersion)
	for _, event := range allEvents(t, namespace) {
		if event.Spec.Action == v1alpha1.ActionNotice {
			g.Expect(event.Status.Outcome).To(BeEmpty())
		}
	}
}

// An operator that stops in good order says when.
func TestStopIsTold(t *testing.T) {
	g := NewWithT(t)
	namespace := newNamespace(t)
	trail := clusterOnly(namespace, "project")
	startTrail(t, trail, namespace)
	t.Cleanup(func() { deleteTrail(t, trail) })

	asked := time.Now()
	operator.Stop()
	stopped := notices(t, namespace, about(v1alpha1.NoticeRecorderStopped))
	g.Expect(stopped).To(HaveLen(1))
	g.Expect(stopped[0].Time.Time).To(BeTemporally(">=", asked))
	restartOperator(t)

	g.Eventually(func(g Gomega) {
		gaps := notices(t, namespace, about(v1alpha1.NoticeGap))
		g.Expect(gaps).To(HaveLen(1))
		g.Expect(gaps[0].Notice.Start.Time).To(BeTemporally("~", stopped[0].Time.Time, 500*time.Millisecond))
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
}
