package recorder

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var errStore = errors.New("etcd is full, and so is the disk")

func TestAnswers(t *testing.T) {
	noOp := func(r *admissionv1.AdmissionRequest) { r.Object = r.OldObject }
	tests := map[string]struct {
		request *admissionv1.AdmissionRequest
		answer  string
		events  int
	}{
		"recorded":          {update(), "recorded", 1},
		"unwanted":          {update(func(r *admissionv1.AdmissionRequest) { r.Namespace = "elsewhere" }), "unwanted", 0},
		"dry run":           {update(dryRun), "dry-run", 0},
		"no difference":     {update(noOp), "no-op", 0},
		"cannot be decoded": {update(func(r *admissionv1.AdmissionRequest) { r.Object.Raw = []byte(`[]`) }), "failed", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all"))

			response := r.ask(t, v1alpha1.FailurePolicyIgnore, test.request)

			g.Expect(response.Allowed).To(BeTrue())
			g.Expect(response.Result).To(BeNil())
			g.Expect(r.store.events).To(HaveLen(test.events))
			g.Expect(response.AuditAnnotations).To(HaveLen(test.events))
			g.Expect(r.counter(t, requestsTotal, test.answer)).To(Equal(1.0))
		})
	}
}

func TestTwoTrailsRecordOneChange(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail(operatorNamespace, "security"), newTrail("shop", "project", local), newTrail("other", "project"))

	response := r.ask(t, v1alpha1.FailurePolicyIgnore, update())

	g.Expect(r.store.events).To(HaveLen(2))
	first, second := r.store.events[0], r.store.events[1]
	g.Expect(first.Spec.ID).To(Equal(second.Spec.ID))
	g.Expect(first.Name).NotTo(Equal(second.Name))
	where := map[string]v1alpha1.Durability{}
	for i, event := range r.store.events {
		g.Expect(event.Namespace).To(Equal(event.Spec.TrailRef.Namespace), "an event lives beside its trail")
		g.Expect(event.Name).To(MatchRegexp("^[0-9a-hjkmnp-tv-z]{26}$"), "a lower-case ULID")
		g.Expect(event.Spec.Time.Time).To(BeTemporally("==", r.clock.Now()))
		where[event.Namespace] = r.store.durabilities[i]
	}
	g.Expect(where).To(Equal(map[string]v1alpha1.Durability{
		operatorNamespace: v1alpha1.DurabilityReplicated, "shop": v1alpha1.DurabilityLocal,
	}))
	annotated := strings.Split(response.AuditAnnotations["event"], ",")
	g.Expect(annotated).To(ConsistOf(first.Namespace+"/"+first.Name, second.Namespace+"/"+second.Name))
}

func TestEachEntryServesItsOwnTrails(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "lenient"), newTrail("shop", "strict", failing))

	r.ask(t, v1alpha1.FailurePolicyFail, update())
	g.Expect(r.store.events).To(HaveLen(1))
	g.Expect(r.store.events[0].Spec.TrailRef.Name).To(Equal("strict"))

	r.ask(t, v1alpha1.FailurePolicyIgnore, update())
	g.Expect(r.store.events).To(HaveLen(2))
	g.Expect(r.store.events[1].Spec.TrailRef.Name).To(Equal("lenient"))
}

func TestFailedStore(t *testing.T) {
	tests := map[string]struct {
		edits  []func(*v1alpha1.AuditTrail)
		policy v1alpha1.FailurePolicy
		answer string
	}{
		"Ignore admits": {nil, v1alpha1.FailurePolicyIgnore, "failed"},
		"Fail refuses":  {[]func(*v1alpha1.AuditTrail){failing}, v1alpha1.FailurePolicyFail, "refused"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all", test.edits...))
			r.store.fail(errStore)

			response := r.ask(t, test.policy, update())

			g.Expect(response.Allowed).To(Equal(test.policy == v1alpha1.FailurePolicyIgnore))
			g.Expect(r.counter(t, requestsTotal, test.answer)).To(Equal(1.0))
			g.Expect(r.counter(t, unrecordedTotal, "")).To(Equal(1.0))
			g.Expect(response.AuditAnnotations).To(BeEmpty())
			if response.Allowed {
				return
			}
			g.Expect(response.Result.Code).To(BeEquivalentTo(http.StatusServiceUnavailable))
			g.Expect(response.Result.Message).To(And(
				ContainSubstring("shop/all must record this change"), ContainSubstring("try again")))
			g.Expect(response.Result.Message).NotTo(ContainSubstring(errStore.Error()), "that is for the operator's log")

			r.store.fail(nil)
			g.Expect(r.ask(t, test.policy, update()).Allowed).To(BeTrue(), "a failure is not remembered")
			g.Expect(r.store.events).To(HaveLen(1))
		})
	}
}

func TestOneChangeSentTwiceIsOneEvent(t *testing.T) {
	again := func(r *admissionv1.AdmissionRequest) { r.UID = "request-2" }
	tests := map[string]struct {
		second *admissionv1.AdmissionRequest
		after  time.Duration
		events int
	}{
		"the API server's own retry": {update(), 0, 1},
		"validated again":            {update(again), time.Second / 2, 1},
		"by somebody else": {update(again, func(r *admissionv1.AdmissionRequest) {
			r.UserInfo.Username = "bob"
		}), 0, 2},
		"of a later object": {update(again, func(r *admissionv1.AdmissionRequest) {
			r.OldObject.Raw = []byte(strings.Replace(string(r.OldObject.Raw), `"7"`, `"8"`, 1))
		}), 0, 2},
		"much later": {update(again), recentFor, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			r := newRig(newTrail("shop", "all"))

			first := r.ask(t, v1alpha1.FailurePolicyIgnore, update())
			r.clock.SetTime(r.clock.Now().Add(test.after))
			second := r.ask(t, v1alpha1.FailurePolicyIgnore, test.second)

			g.Expect(r.store.events).To(HaveLen(test.events))
			g.Expect(second.AuditAnnotations["event"]).NotTo(BeEmpty())
			g.Expect(second.AuditAnnotations["event"] == first.AuditAnnotations["event"]).To(Equal(test.events == 1))
		})
	}
}

func TestBeforeTheRulesAreKnown(t *testing.T) {
	g := NewWithT(t)
	r := newRig()

	response := r.call(t, v1alpha1.FailurePolicyIgnore, review(t, update()))

	g.Expect(response.Code).To(Equal(http.StatusServiceUnavailable))
	g.Expect(response.Header().Get("Retry-After")).To(Equal("1"))
	g.Expect(r.counter(t, requestsTotal, "not-ready")).To(Equal(1.0))
}

func TestLimitOfRequestsInFlight(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "all"))
	for range maxInFlight {
		r.recorder.inFlight <- struct{}{}
	}

	response := r.call(t, v1alpha1.FailurePolicyIgnore, review(t, update()))
	g.Expect(response.Code).To(Equal(http.StatusTooManyRequests))
	g.Expect(response.Header().Get("Retry-After")).To(Equal("1"))
	g.Expect(r.counter(t, requestsTotal, "throttled")).To(Equal(1.0))
	g.Expect(r.store.events).To(BeEmpty())

	<-r.recorder.inFlight
	for range 2 {
		g.Expect(r.ask(t, v1alpha1.FailurePolicyIgnore, update()).Allowed).To(BeTrue(), "an answered request makes room")
	}
	g.Expect(r.store.events).To(HaveLen(1))
}

// The API server calls webhooks with client-go's REST client, which repeats a call that is answered so.
func TestAPIServerRepeatsAThrottledCall(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "all"))
	for range maxInFlight {
		r.recorder.inFlight <- struct{}{}
	}
	handler := r.recorder.Handler(v1alpha1.FailurePolicyIgnore)
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		calls++
		handler.ServeHTTP(w, request)
		if calls == 1 {
			<-r.recorder.inFlight
		}
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	g.Expect(err).NotTo(HaveOccurred())
	client, err := rest.NewRESTClient(base, "", rest.ClientContentConfig{
		GroupVersion: schema.GroupVersion{}, Negotiator: nil,
	}, nil, http.DefaultClient)
	g.Expect(err).NotTo(HaveOccurred())

	body, err := client.Post().AbsPath("/record/ignore").Body(review(t, update())).DoRaw(t.Context())

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(body)).To(ContainSubstring(`"uid":"request-1","allowed":true`))
	g.Expect(calls).To(Equal(2))
	g.Expect(r.store.events).To(HaveLen(1))
}

func TestNamesSortByTime(t *testing.T) {
	g := NewWithT(t)
	r := newRig(newTrail("shop", "all"))
	start := r.clock.Now()
	previous := ""
	for i := range 1000 {
		name := r.recorder.newName(start.Add(time.Duration(i/10) * time.Millisecond))
		g.Expect(name > previous).To(BeTrue(), "%s after %s", name, previous)
		previous = name
	}
}

func TestConcurrentCallsForOneChangeRecordItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		r := newRig(newTrail("shop", "all"))
		r.store.release = make(chan struct{})
		body := review(t, update())
		answers := make(chan string, 2)
		for range 2 {
			go func() { answers <- r.call(t, v1alpha1.FailurePolicyIgnore, body).Body.String() }()
		}
		synctest.Wait()
		g.Expect(answers).To(BeEmpty(), "neither is answered before the event is stored")

		close(r.store.release)
		synctest.Wait()
		g.Expect(r.store.events).To(HaveLen(1))
		first, second := <-answers, <-answers
		g.Expect(first).To(Equal(second))
		g.Expect(first).To(ContainSubstring(r.store.events[0].Name))
	})
}

func TestRecentIsBounded(t *testing.T) {
	g := NewWithT(t)
	r := newRecent(clocktesting.NewFakePassiveClock(time.Now()))
	record := func() (types.NamespacedName, error) { return types.NamespacedName{}, nil }
	for i := range maxRecent + 100 {
		_, err := r.once(string(rune(i)), "", "", record)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(len(r.calls)).To(BeNumerically("<=", maxRecent+1))
	g.Expect(len(r.ended)).To(BeNumerically("<=", maxRecent+1))
}

// TestARecordingIsRememberedFromItsFirstCall, however long it took.
func TestARecordingIsRememberedFromItsFirstCall(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := newRecent(clock)
	calls := 0
	record := func() (types.NamespacedName, error) {
		calls++
		clock.SetTime(clock.Now().Add(recentFor * 3 / 4))
		return types.NamespacedName{}, nil
	}
	for range 2 {
		_, err := r.once("a", "", "", record)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(calls).To(Equal(1))
	clock.SetTime(clock.Now().Add(recentFor / 2))
	_, err := r.once("a", "", "", record)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(calls).To(Equal(2))
	g.Expect(r.calls).To(HaveLen(1))
}

// TestAHangingRecordingIsOfItsRequest: the API server may repeat that call; somebody else's, or the same user's next try, is another change.
func TestAHangingRecordingIsOfItsRequest(t *testing.T) {
	g := NewWithT(t)
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := newRecent(clock)
	first, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := r.once("a", "1", "", func() (types.NamespacedName, error) {
			first <- struct{}{}
			<-first
			return types.NamespacedName{Name: "first"}, nil
		})
		ended <- err
	}()
	<-first
	clock.SetTime(clock.Now().Add(recentFor))
	second := func() (types.NamespacedName, error) { return types.NamespacedName{Name: "second"}, nil }
	again, isFirst := r.begin("a", "1", "")
	g.Expect(isFirst).To(BeFalse())
	stored, err := r.once("a", "2", "", second)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.Name).To(Equal("second"))
	close(first)
	g.Expect(<-ended).To(Succeed())
	<-again.done
	g.Expect(again.stored.Name).To(Equal("first"))
	stored, err = r.once("a", "3", "", func() (types.NamespacedName, error) { return types.NamespacedName{Name: "third"}, nil })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored.Name).To(Equal("second"), "what the first one's end leaves")
}
