package outage

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// newTrail records the ConfigMaps of namespaces that begin with the trail's name.
func newTrail(name string, policy v1alpha1.FailurePolicy) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: "/audit/" + name, LogStreamName: "all", Auth: v1alpha1.Auth{Ambient: &v1alpha1.Ambient{}},
			},
			Recording: v1alpha1.RecordingPolicy{FailurePolicy: policy},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Namespaces: []string{name},
				Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
		},
	}
}

// startTrail creates a trail and its namespace, and returns when changes are recorded.
func startTrail(t *testing.T, trail *v1alpha1.AuditTrail) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: trail.Name}})).To(Succeed())
	g.Expect(admin.Create(t.Context(), trail)).To(Succeed())
	g.Eventually(func(g Gomega) {
		g.Expect(meta.IsStatusConditionTrue(read(t, g, trail).Status.Conditions, v1alpha1.ReadyCondition)).To(BeTrue())
		// Those that nobody recorded yet are no gap: they do not count.
		g.Expect(write(t, trail, testenv.ProbePrefix)).To(Succeed())
		g.Expect(arrived(g, trail)).To(ContainElement(HaveField("Spec.Resource.Name", HavePrefix(testenv.ProbePrefix))))
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
}

func read(t *testing.T, g Gomega, trail *v1alpha1.AuditTrail) *v1alpha1.AuditTrail {
	t.Helper()
	fresh := &v1alpha1.AuditTrail{}
	g.Expect(admin.Get(t.Context(), client.ObjectKeyFromObject(trail), fresh)).To(Succeed())
	return fresh
}

// tries counts what was to be changed, so that each has a name of its own.
var tries atomic.Int64

// made counts, by namespace, the changes that were made.
var made = map[string]*atomic.Int64{"ignoring": {}, "refusing": {}}

// change makes a ConfigMap in the trail's namespace.
func change(t *testing.T, trail *v1alpha1.AuditTrail) error {
	t.Helper()
	err := write(t, trail, "object-")
	if err == nil {
		made[trail.Name].Add(1)
	}
	return err
}

func write(t *testing.T, trail *v1alpha1.AuditTrail, prefix string) error {
	t.Helper()
	// A name of its own: what admission sees of an object that exists already would be an event as well.
	return admin.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: trail.Name, Name: fmt.Sprintf("%s%d", prefix, tries.Add(1)),
	}})
}

// refusal is what a change is answered that a trail may not record any more.
const refusal = "too many of its events wait for a destination that takes none"

// changeMany makes count ConfigMaps, or until changes are refused.
func changeMany(t *testing.T, trail *v1alpha1.AuditTrail, count int) {
	t.Helper()
	const writers = 8
	var group errgroup.Group
	for w := range writers {
		group.Go(func() error {
			for n := w; n < count; n += writers {
				err := change(t, trail)
				if err != nil && strings.Contains(err.Error(), refusal) {
					return nil
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	NewWithT(t).Expect(group.Wait()).To(Succeed())
}

// record is what one delivered record tells.
type record struct {
	Metadata struct{ Name string }
	Spec     v1alpha1.AuditEventSpec
}

// arrived are the trail's records; none is missing or changed between them, and none was recorded out of order.
func arrived(g Gomega, trail *v1alpha1.AuditTrail) []record {
	var links []ledger.Link
	for _, event := range aws.Events(region, trail.Spec.CloudWatch.LogGroupName, trail.Spec.CloudWatch.LogStreamName) {
		link, err := ledger.ReadLink([]byte(event.Message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	distinct, _, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
	g.Expect(err).NotTo(HaveOccurred())
	records := make([]record, len(distinct))
	for i := range distinct {
		g.Expect(json.Unmarshal(distinct[i].Event, &records[i])).To(Succeed())
	}
	return records
}

// changed are the records of changes, and how many events they say are missing.
func changed(g Gomega, trail *v1alpha1.AuditTrail) (count, missing int64) {
	seen := map[string]bool{}
	for _, record := range arrived(g, trail) {
		g.Expect(seen[record.Spec.ID]).To(BeFalse(), "%s came under two sequences", record.Spec.ID)
		seen[record.Spec.ID] = true
		switch notice := record.Spec.Notice; {
		case notice == nil && strings.HasPrefix(record.Spec.Resource.Name, testenv.ProbePrefix):
		case notice == nil:
			count++
		case notice.Count != nil:
			missing += *notice.Count
		}
	}
	return count, missing
}

// TestAnOutage: the destination is away while more is recorded than may wait, and the leader is killed meanwhile.
func TestAnOutage(t *testing.T) {
	if !isSoak() {
		t.Skip("with TRAILKEEPER_SOAK=1")
	}
	g := NewWithT(t)
	ignoring, refusing := newTrail("ignoring", v1alpha1.FailurePolicyIgnore), newTrail("refusing", v1alpha1.FailurePolicyFail)
	startTrail(t, ignoring)
	startTrail(t, refusing)
	back := aws.Inject(cloudsim.Fault{Action: "PutLogEvents", Effect: cloudsim.Unavailable})

	// Some are packed.
	changeMany(t, ignoring, 600)
	changeMany(t, refusing, 300)
	g.Eventually(func(g Gomega) {
		status := read(t, g, ignoring).Status.Delivery
		g.Expect(status.Packed).To(BeNumerically(">=", 600-softLimit))
		g.Expect(status.Pending).To(BeNumerically(">=", 600))
		g.Expect(meta.FindStatusCondition(read(t, g, ignoring).Status.Conditions, v1alpha1.DeliveringCondition)).
			To(And(HaveField("Status", metav1.ConditionFalse), HaveField("Message", ContainSubstring("of them packed"))))
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())

	leader, err := operator.Leader(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	operator.Replica(leader).Kill()
	g.Expect(operator.Start(t.Context(), leader)).To(Succeed())

	// More than may wait.
	changeMany(t, ignoring, hardLimit-500)
	changeMany(t, refusing, hardLimit-200)
	for _, trail := range []*v1alpha1.AuditTrail{ignoring, refusing} {
		g.Eventually(func(g Gomega) {
			fresh := read(t, g, trail)
			g.Expect(fresh.BacklogIsFull()).To(BeTrue(), "%+v", fresh.Status.Delivery)
			g.Expect(meta.FindStatusCondition(fresh.Status.Conditions, v1alpha1.DeliveringCondition).Message).
				To(ContainSubstring("no more are recorded"))
		}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	}
	g.Eventually(func(g Gomega) {
		err := change(t, refusing)
		g.Expect(err).To(MatchError(ContainSubstring(refusal)))
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	const extra = 40
	changeMany(t, ignoring, extra)

	// All that was recorded arrives, and says what was not.
	back()
	for _, trail := range []*v1alpha1.AuditTrail{ignoring, refusing} {
		g.Eventually(func(g Gomega) {
			g.Expect(read(t, g, trail).BacklogIsFull()).To(BeFalse())
			g.Expect(change(t, trail)).To(Succeed())
		}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	}
	for _, trail := range []*v1alpha1.AuditTrail{ignoring, refusing} {
		g.Eventually(func(g Gomega) {
			count, missing := changed(g, trail)
			g.Expect(count+missing).To(Equal(made[trail.Name].Load()), "%d arrived, %d are said to be missing", count, missing)
			if trail == ignoring {
				g.Expect(missing).To(BeNumerically(">=", extra))
			} else {
				g.Expect(missing).To(BeZero())
			}
			g.Expect(read(t, g, trail).Status.Delivery).To(And(HaveField("Packed", BeZero()), HaveField("Pending", BeZero())))
		}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	}
	var chunks v1alpha1.AuditEventChunkList
	g.Eventually(func() ([]v1alpha1.AuditEventChunk, error) {
		err := admin.List(t.Context(), &chunks)
		return chunks.Items, err
	}).WithTimeout(patience).WithPolling(polling).Should(BeEmpty())
}
