package recorder

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// maxInFlight bounds the requests that are being recorded at once. Beyond it the API server is asked to call again.
const maxInFlight = 512

// store is where events are recorded, and where the pods are that evictions are for.
type store interface {
	// Record returns when the event is stored durably, and where it is: its namespace may have changed.
	Record(ctx context.Context, event *v1alpha1.AuditEvent, durability v1alpha1.Durability) (types.NamespacedName, error)
	// Pod is the metadata of a pod as JSON; nil when there is none of that name.
	Pod(ctx context.Context, namespace, name string) ([]byte, error)
}

// losses is told of events that could be recorded nowhere.
type losses interface {
	Lost(trail v1alpha1.TrailReference, at time.Time)
	// TurnedAway is told of events of a trail for whose destination no more may wait.
	TurnedAway(trail v1alpha1.TrailReference, at time.Time)
}

// Recorder answers admission calls.
type Recorder struct {
	rules    *rules.Store
	store    store
	digester audit.Digester
	metrics  *metrics.Recorder
	clock    clock.PassiveClock
	recent   *recent
	causes   *causes
	inFlight chan struct{}
	losses   losses
	// first is when the API server called first, in nanoseconds since 1970; 0 before that.
	first atomic.Int64

	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
}

// New returns a Recorder.
func New(rules *rules.Store, store store, digester audit.Digester, metrics *metrics.Recorder, losses losses, clock clock.PassiveClock) *Recorder {
	return &Recorder{
		rules:    rules,
		store:    store,
		digester: digester,
		metrics:  metrics,
		losses:   losses,
		clock:    clock,
		recent:   newRecent(clock),
		causes:   newCauses(clock),
		inFlight: make(chan struct{}, maxInFlight),
		entropy:  ulid.Monotonic(rand.Reader, 0),
	}
}

// Handler answers the calls of the webhook entry for trails of one failure policy.
func (r *Recorder) Handler(policy v1alpha1.FailurePolicy) http.Handler {
	return r.handler(entry{policy: policy})
}

// NoteHandler answers the calls of the webhook entry for notes, which are refused when they cannot be recorded.
func (r *Recorder) NoteHandler() http.Handler {
	return r.handler(entry{policy: v1alpha1.FailurePolicyFail, notes: true})
}

func (r *Recorder) handler(entry entry) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		select {
		case r.inFlight <- struct{}{}:
			defer func() { <-r.inFlight }()
		default:
			r.callAgain(w, http.StatusTooManyRequests, metrics.AnswerThrottled)
			return
		}
		r.serve(w, request, entry)
	})
}

// FirstCall is when the API server called first, and false before that.
func (r *Recorder) FirstCall() (time.Time, bool) {
	first := r.first.Load()
	return time.Unix(0, first), first != 0
}

// callAgain makes the API server repeat the call with the same uid after a second.
func (r *Recorder) callAgain(w http.ResponseWriter, status int, answer metrics.Answer) {
	r.metrics.Answered(answer)
	w.Header().Set("Retry-After", "1")
	http.Error(w, string(answer), status)
}

func (r *Recorder) serve(w http.ResponseWriter, httpRequest *http.Request, entry entry) {
	ctx := httpRequest.Context()
	set := r.rules.Load()
	if set == nil {
		r.callAgain(w, http.StatusServiceUnavailable, metrics.AnswerNotReady)
		return
	}
	received := r.clock.Now()
	if r.first.Load() == 0 {
		r.first.CompareAndSwap(0, received.UnixNano())
	}
	request, err := readReview(httpRequest)
	if err != nil {
		r.metrics.Answered(metrics.AnswerMalformed)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result := answer{uid: string(request.UID)}
	r.metrics.Answered(r.record(ctx, set, request, entry, received, &result))
	if err := result.write(w); err != nil {
		log.FromContext(ctx).V(1).Info("The API server did not wait for the answer", "error", err.Error())
	}
}

// record decides what to do with a request, and does it.
func (r *Recorder) record(ctx context.Context, set *rules.Set, request *admissionv1.AdmissionRequest,
	entry entry, received time.Time, result *answer,
) metrics.Answer {
	var space [4]rules.Match
	asked := matchable(request, set.ComparesFieldManagers())
	matches := entry.appendMatches(space[:0], set, request, &asked)
	if len(matches) == 0 {
		return metrics.AnswerUnwanted
	}
	if audit.DryRun(request) {
		return metrics.AnswerDryRun
	}
	if audit.IsEviction(request) {
		r.findEvicted(ctx, request)
	}
	change, err := audit.NewChange(request, asked.ActorType, r.digester)
	if err != nil {
		// The API server sends objects that it has decoded itself.
		log.FromContext(ctx).Error(err, "Cannot record a change")
		return r.unrecorded(matches, entry.policy, result)
	}
	if change.Noise() {
		return metrics.AnswerNoOp
	}
	failed := r.recordAll(ctx, change, matches, received, entry.policy, result)
	r.metrics.Took(r.clock.Since(received))
	if len(failed) > 0 {
		return r.unrecorded(failed, entry.policy, result)
	}
	return metrics.AnswerRecorded
}

// findEvicted adds the pod to the request for its eviction, which shows no more than a name: without its uid and version
// nobody could tell later whether it was this request that deleted it. Where there is no pod one may be on its way: the API
// server looks for it after this call.
func (r *Recorder) findEvicted(ctx context.Context, request *admissionv1.AdmissionRequest) {
	pod, err := r.store.Pod(ctx, request.Namespace, request.Name)
	switch {
	case err != nil:
		log.FromContext(ctx).Error(err, "Recording an eviction without knowing its pod")
	case pod == nil:
		request.OldObject.Raw = audit.NoPod()
	default:
		request.OldObject.Raw = pod
	}
}

// Observed records a change that the API server sent to no webhook, and that somebody saw later. Who made it is not
// known, and it has been made already: it cannot be refused.
func (r *Recorder) Observed(ctx context.Context, request *admissionv1.AdmissionRequest) {
	set := r.rules.Load()
	if set == nil {
		return
	}
	asked := matchable(request, true)
	asked.ActorType = v1alpha1.ActorUnknown
	matches := set.AppendMatches(nil, &asked)
	if len(matches) == 0 {
		return
	}
	change, err := audit.NewChange(request, v1alpha1.ActorUnknown, r.digester)
	if err != nil {
		log.FromContext(ctx).Error(err, "Cannot record a change that was watched")
		r.unrecorded(matches, v1alpha1.FailurePolicyIgnore, nil)
		return
	}
	if change.Noise() {
		return
	}
	failed := r.recordAll(ctx, change, matches, r.clock.Now(), v1alpha1.FailurePolicyIgnore, &answer{})
	r.unrecorded(failed, v1alpha1.FailurePolicyIgnore, nil)
}

// recordAll records the change for each trail at the same time, and returns the trails for which that failed.
func (r *Recorder) recordAll(
	ctx context.Context, change *audit.Change, matches []rules.Match, received time.Time, policy v1alpha1.FailurePolicy, result *answer,
) []rules.Match {
	stored := make([]types.NamespacedName, len(matches))
	errs := make([]error, len(matches))
	var group sync.WaitGroup
	for i := range matches[1:] {
		group.Go(func() { stored[i+1], errs[i+1] = r.recordOne(ctx, change, &matches[i+1], received) })
	}
	stored[0], errs[0] = r.recordOne(ctx, change, &matches[0], received)
	group.Wait()

	var failed []rules.Match
	for i := range matches {
		if errors.Is(errs[i], errDisowned) && policy != v1alpha1.FailurePolicyFail {
			continue // The local file is better than nothing.
		}
		if errors.Is(errs[i], errFull) { // The trail's status says so, and not each event anew.
			failed = append(failed, matches[i])
			continue
		}
		if errs[i] != nil {
			log.FromContext(ctx).Error(errs[i], "A change could be recorded nowhere",
				"trail", matches[i].Trail.Namespace+"/"+matches[i].Trail.Name)
			failed = append(failed, matches[i])
			continue
		}
		result.events = append(result.events, stored[i].String())
	}
	return failed
}

// errFull says that no more events may wait for a trail's destination.
var errFull = errors.New("the trail's backlog is full")

func (r *Recorder) recordOne(ctx context.Context, change *audit.Change, match *rules.Match, received time.Time) (types.NamespacedName, error) {
	if match.Trail.Full {
		return types.NamespacedName{}, errFull
	}
	event := change.Event(audit.Wanted{
		Trail:  referenceTo(match.Trail),
		Level:  match.Level,
		Redact: match.Trail.Redaction,
	}, r.newName(received), received)
	event.Spec.Cause = r.causes.find(match.Trail.UID, change.Origin())
	trail, deletion := event.Spec.TrailRef.UID+"/", change.Deletion()
	if deletion != "" {
		deletion = trail + deletion
	}
	if change.EndsDeletion() {
		if first, ok := r.recent.deleted(deletion); ok {
			return first, nil
		}
	}
	stored, err := r.recent.once(trail+change.ID(), event.Spec.Request.UID, deletion, func() (types.NamespacedName, error) {
		return r.store.Record(ctx, event, match.Trail.Durability)
	})
	if err == nil {
		r.causes.remember(match.Trail.UID, change.Subjects(), stored, change.Started() || event.Spec.Cause != nil)
	}
	return stored, err
}

// newName is a lower-case ULID, so that names sort by time.
func (r *Recorder) newName(received time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The monotonic entropy runs out after 2^80 names in one millisecond.
	return strings.ToLower(ulid.MustNew(ulid.Timestamp(received), r.entropy).String())
}

// unrecorded answers for a change that could not be recorded for some trails.
func (r *Recorder) unrecorded(failed []rules.Match, policy v1alpha1.FailurePolicy, result *answer) metrics.Answer {
	for range failed {
		r.metrics.EventLost()
	}
	if policy != v1alpha1.FailurePolicyFail {
		for i := range failed {
			if failed[i].Trail.Full {
				r.losses.TurnedAway(referenceTo(failed[i].Trail), r.clock.Now())
			} else {
				r.losses.Lost(referenceTo(failed[i].Trail), r.clock.Now())
			}
		}
		return metrics.AnswerFailed
	}
	result.refused = "the audit trail " + failed[0].Trail.Namespace + "/" + failed[0].Trail.Name + " must record this change and cannot do so now: "
	if failed[0].Trail.Full {
		result.refused += "too many of its events wait for a destination that takes none: ask who owns the trail to repair it, or to set its spec.suspend"
	} else {
		result.refused += "try again, or ask who runs Trailkeeper"
	}
	return metrics.AnswerRefused
}

func uidOf(uid string) types.UID { return types.UID(uid) }

func refusal(message string) *metav1.Status {
	return &metav1.Status{
		Status:  metav1.StatusFailure,
		Reason:  metav1.StatusReasonServiceUnavailable,
		Code:    http.StatusServiceUnavailable,
		Message: message,
	}
}
