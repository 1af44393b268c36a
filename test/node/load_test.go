package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// load makes changes that the trail wants, a few a second, until it is stopped.
type load struct {
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu      sync.Mutex
	made    map[types.UID]string
	refused []error
}

func (r *rig) startLoad() *load {
	ctx, cancel := context.WithCancel(r.t.Context())
	l := &load{cancel: cancel, made: map[types.UID]string{}}
	l.group.Go(func() {
		for number := 0; ctx.Err() == nil; number++ {
			l.change(context.WithoutCancel(ctx), r.admin, fmt.Sprintf("load-%06d", number))
			pause, end := context.WithTimeout(ctx, 100*time.Millisecond)
			<-pause.Done()
			end()
		}
	})
	r.t.Cleanup(func() {
		cancel()
		l.group.Wait()
	})
	return l
}

func (l *load) change(ctx context.Context, c client.Client, name string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: name + "-"}}
	err := c.Create(ctx, object)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = append(l.refused, fmt.Errorf("at %s: %w", time.Now().Format(time.StampMilli), err))
		return
	}
	l.made[object.UID] = object.Name
}

// takeRefused returns what was refused since the last time.
func (l *load) takeRefused() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	refused := l.refused
	l.refused = nil
	return refused
}

// stop returns what was made.
func (l *load) stop() map[types.UID]string {
	l.cancel()
	l.group.Wait()
	return l.made
}

// expectRecorded expects an AuditEvent for each change that was made.
func (r *rig) expectRecorded(trail *v1alpha1.AuditTrail, made map[types.UID]string) {
	r.t.Helper()
	g := NewWithT(r.t)
	var events v1alpha1.AuditEventList
	g.Expect(r.admin.List(r.t.Context(), &events, client.InNamespace(trail.Namespace))).To(Succeed())
	recorded := map[types.UID]bool{}
	for i := range events.Items {
		recorded[types.UID(events.Items[i].Spec.Resource.UID)] = true
	}
	missing := []string{}
	for uid, name := range made {
		if !recorded[uid] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	g.Expect(missing).To(BeEmpty(), "of %d changes these were not recorded", len(made))
}

// expectDelivered waits until all was pushed, and expects an unbroken chain.
func (r *rig) expectDelivered(trail *v1alpha1.AuditTrail) {
	r.t.Helper()
	g, ctx := NewWithT(r.t), r.t.Context()
	g.Eventually(ctx, func(g Gomega) {
		g.Expect(r.admin.Get(ctx, client.ObjectKeyFromObject(trail), trail)).To(Succeed())
		g.Expect(trail.Status.Delivery).NotTo(BeNil())
		g.Expect(trail.Status.Delivery.Pending).To(BeZero())
		g.Expect(r.links(g, trail)).NotTo(BeEmpty())
	}).WithTimeout(patience).WithPolling(polling).Should(Succeed())
	links := r.links(g, trail)
	distinct, _, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(distinct)).To(BeNumerically(">=", trail.Status.Delivery.Sequence))
}

func (r *rig) links(g Gomega, trail *v1alpha1.AuditTrail) []ledger.Link {
	var links []ledger.Link
	for _, event := range r.aws.Events(region, logGroup, trail.Status.LogStreamName) {
		link, err := ledger.ReadLink([]byte(event.Message))
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	return links
}
