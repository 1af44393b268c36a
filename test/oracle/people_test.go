package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// person is one of the people. Each works alone, and their objects are partly everybody's.
type person struct {
	name     string
	random   *rand.Rand
	clients  *kubernetes.Clientset
	widgets  dynamic.NamespaceableResourceInterface
	config   *rest.Config
	requests *atomic.Int64
}

// newPeople are people who may do everything, as users, not as members of system:masters.
func newPeople(w *world) []*person {
	g := NewWithT(w.t)
	requests := &atomic.Int64{}
	var people []*person
	for i := range users {
		name := fmt.Sprintf("user-%d", i)
		config, err := w.env.AddUser(name, "people")
		g.Expect(err).NotTo(HaveOccurred())
		config.Timeout = 20 * time.Second
		config.WarningHandler = rest.NoWarnings{}
		config.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
			return counting{next, requests}
		}
		p := &person{name: name, config: config, requests: requests, random: rand.New(rand.NewPCG(w.seed, uint64(i)))}
		p.clients, err = kubernetes.NewForConfig(config)
		g.Expect(err).NotTo(HaveOccurred())
		dynamicClient, err := dynamic.NewForConfig(config)
		g.Expect(err).NotTo(HaveOccurred())
		p.widgets = dynamicClient.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"})
		people = append(people, p)
	}
	return people
}

// counting counts requests.
type counting struct {
	http.RoundTripper
	count *atomic.Int64
}

func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// work has the people make changes until they made as many requests. What becomes of a request is for the audit log to
// tell.
func (w *world) work(ctx context.Context, requests int64) {
	until := w.people[0].requests.Load() + requests
	var group sync.WaitGroup
	for _, p := range w.people {
		group.Go(func() {
			for ctx.Err() == nil && p.requests.Load() < until {
				p.step(ctx)
			}
		})
	}
	group.Wait()
}

// step does one thing.
func (p *person) step(ctx context.Context) {
	weight := 0
	for i := range tasks {
		weight += tasks[i].weight
	}
	chosen := p.random.IntN(weight)
	for i := range tasks {
		if chosen -= tasks[i].weight; chosen < 0 {
			tasks[i].do(p, ctx, teams[p.random.IntN(len(teams))])
			return
		}
	}
}

// task is something that people do in a namespace, now and then.
type task struct {
	weight int
	do     func(p *person, ctx context.Context, namespace string)
}

var tasks = []task{
	{6, (*person).createConfigMap},
	{5, (*person).createUntilDone},
	{10, (*person).updateConfigMap},
	{12, (*person).patchConfigMap},
	{6, (*person).applyConfigMap},
	{6, (*person).deleteConfigMap},
	{2, (*person).deleteWithPreconditions},
	{3, (*person).generateName},
	{2, (*person).conflict},
	{3, (*person).dryRun},
	{4, (*person).holdByFinalizer},
	{5, (*person).changeFinalizers},
	{1, (*person).deleteCollection},
	{3, (*person).impersonate},
	{1, (*person).requestToken},
	{1, (*person).exec},
	{4, (*person).createWidget},
	{5, (*person).patchWidget},
	{3, (*person).patchWidgetStatus},
	{2, (*person).scaleWidget},
	{3, (*person).deleteWidget},
	{3, (*person).createDeployment},
	{5, (*person).patchDeployment},
	{3, (*person).scaleDeployment},
	{2, (*person).deleteDeployment},
	{5, (*person).createPod},
	{4, (*person).labelPod},
	{4, (*person).deletePod},
	{4, (*person).evictPod},
	{1, (*person).createBudget},
	{20, (*person).otherKind},
	{4, (*person).podPart},
	{1, (*person).approve},
	{1, (*person).wholeNamespace},
	{2, (*person).giveUp},
}

// anyName is one of a few names: half of them everybody's.
func (p *person) anyName() string {
	if p.random.IntN(2) == 0 {
		return fmt.Sprintf("shared-%d", p.random.IntN(12))
	}
	return fmt.Sprintf("%s-%d", p.name, p.random.IntN(8))
}

// value is one of a few values, so that some changes change nothing.
func (p *person) value() string { return fmt.Sprint(p.random.IntN(4)) }
