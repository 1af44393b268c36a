package outcome

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// isBinding says that the event is of a pod's binding to a node, which is its evidence. What was bound stays so.
func isBinding(head *recorded.Head) bool {
	return head.Action == v1alpha1.ActionCreate && head.Resource.Group == "" && head.Resource.Resource == "pods" &&
		head.Resource.Subresource == "binding" && len(head.Evidence) > 0
}

// creates says that the event is of the creation of an object, and not of a part of one, such as a binding, which may name its uid. The
// API server still serves bindings that are asked for without naming the pod in the path, too.
func creates(head *recorded.Head) bool {
	return head.Action == v1alpha1.ActionCreate && head.Resource.Subresource == "" && (head.Resource.Resource != "bindings" || head.Resource.Group != "")
}

// decideBinding judges a binding by its pod: the API server notes when it was bound.
func (j *Judge) decideBinding(event *recorded.Event, pod objects.Sight) ledger.Judgement {
	if !isOf(pod, event) || event.Head.Resource.UID == "" && !before(pod.Meta.CreationTimestamp, event.Head.Time) {
		return goneSince // It may have come later.
	}
	sighting, err := audit.Sight(j.Digester, event.Head.Evidence, pod.Body)
	bound := conditionSince(pod.Body, corev1.PodScheduled, "")
	switch {
	case err != nil:
		return notReadable
	case sighting == audit.SawAfter && bound.IsZero():
		return overwritten // Somebody has written other conditions.
	case sighting != audit.SawAfter, bound.Before(event.Head.Time.Add(-cut)):
		return notPersisted
	case bound.After(madeBy(event, unversioned)) && isLateAlone(event) && bound.Before(ended(event)):
		return overwritten
	case bound.After(madeBy(event, unversioned)):
		return notPersisted
	case hasRival(event, lateFor+event.Kept), bound.Before(event.Head.Time.Truncate(time.Second)):
		return contested // Unless clocks differ, the kubelet noted it on a pod that was created on a node.
	default:
		return persisted
	}
}

// isLateAlone says that another webhook may have kept a binding of which nobody else is known to have asked for the same: if the pod turns out
// to be bound late, that is this one, or somebody's that is not recorded.
func isLateAlone(event *recorded.Event) bool {
	return event.Kept == 0 && event.MayBeKept > 0 && event.Binding.Rival == 0
}

// hasRival says that another event that asks for the same came so shortly before or after.
func hasRival(event *recorded.Event, within time.Duration) bool {
	return event.Binding.Rival != 0 && event.Binding.Rival <= stretched(within, event)
}

// isOf says that the object is the one that the event names; a binding does not always name a uid.
func isOf(seen objects.Sight, event *recorded.Event) bool {
	return seen.Exists && (event.Head.Resource.UID == "" || event.Head.Resource.UID == string(seen.Meta.UID))
}

// lookWhenBound judges bindings by what the pods were when their events were stored, and a while later, or when they were removed: pods do
// not always tell, others may have asked for the same, and kubelets note the same of pods that were created on a node. It fails when the
// API server is away.
func (j *Judge) lookWhenBound(ctx context.Context, events []recorded.Event, histories map[string]*history, verdicts []Verdict) error {
	ctx, cancel := context.WithTimeout(ctx, recallTime)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(readers)
	counters := comparing{objects: j.Objects, known: map[place]func() error{}} // The rest compares revisions of pods with those of events.
	left := maxHindsight
	for i := range events {
		event, v := &events[i], &verdicts[i]
		open := v.seen != nil && v.Outcome != v1alpha1.OutcomeNotPersisted && v.Judgement != notReadable
		if !isBinding(&event.Head) || !open || event.StoredAfter() == 0 || left == 0 || j.trackless.has(&event.Head.Resource, j.Clock.Now()) {
			continue
		}
		left--
		group.Go(func() error {
			err := counters.with(ctx, &event.Head.Resource)
			if err == nil {
				err = j.lookAtBinding(ctx, event, histories[event.Head.Resource.UID].revisions, v)
			}
			return objects.OnlyAway(err)
		})
	}
	return group.Wait()
}

// isUntouched says that nobody has written the event's pod since before its binding was asked for, as the pod shows now or another event
// shows of a moment at which it would have been bound. That needs no history, which may be compacted.
func (j *Judge) isUntouched(ctx context.Context, event *recorded.Event) (bool, error) {
	if event.Binding.Untouched {
		return true, nil
	}
	now, _, err := j.Objects.At(ctx, &event.Head.Resource, 0)
	if err != nil || !isOf(now, event) || j.Clock.Now().Before(boundBy(event)) {
		return false, err
	}
	version, err := apijson.ParseVersion(now.Meta.ResourceVersion)
	return version <= event.StoredAfter(), err
}

func (j *Judge) lookAtBinding(ctx context.Context, event *recorded.Event, known revisions, v *Verdict) error {
	switch untouched, err := j.isUntouched(ctx, event); {
	case err != nil:
		return err
	case untouched:
		*v = Verdict{Judgement: notPersisted}
		return nil
	}
	switch born, err := j.wasBornBound(ctx, event); {
	case objects.IsAway(err):
		return err
	case born:
		*v = Verdict{Judgement: notPersisted}
		return nil
	}
	was, _, err := j.Objects.At(ctx, &event.Head.Resource, event.StoredAfter())
	if err != nil {
		return err
	}
	if !j.canBeBound(event, was) && (!event.Late || isOf(was, event)) {
		*v = Verdict{Judgement: notPersisted}
		return nil
	}
	within := event.Kept + unversioned
	if event.Kept == 0 && hasRival(event, lateFor) && !hasRival(event, race) {
		within = race // The other one came when this one had been made, which it may have been just before.
	}
	revision := known.after(event.Begun().Add(stretched(within, event)))
	if revision == 0 && v.Judgement != goneSince {
		return nil
	}
	then, err := j.soonAfter(ctx, event, was, revision)
	switch {
	case err != nil:
		return err
	case event.Late: // It was stored later, and what the pod was is from a while before it: that may have been bound since.
		*v = Verdict{Judgement: j.decideBinding(event, then)}
		return nil
	}
	*v = Verdict{Judgement: j.bindingSince(event, then)}
	if v.Judgement != notPersisted || !isLateAlone(event) {
		return nil
	}
	then, err = j.soonAfter(ctx, event, was, known.after(ended(event)))
	if err == nil && j.bindingSince(event, then) == persisted {
		v.Judgement = overwritten // Another webhook kept it, or somebody's binding is not recorded.
	}
	return err
}

// soonAfter is what the event's pod was at a revision, or now when that is 0; or when it was removed, if it was there before and gone by
// then.
func (j *Judge) soonAfter(ctx context.Context, event *recorded.Event, was objects.Sight, revision uint64) (objects.Sight, error) {
	ref := &event.Head.Resource
	then, shown, err := j.Objects.At(ctx, ref, revision)
	if err != nil || !was.Exists || then.Exists && then.Meta.UID == was.Meta.UID {
		return then, err
	}
	last, _, err := endOf(ctx, j.Objects, ref, string(was.Meta.UID), event.StoredAfter(), shown)
	return last, err
}

// bindingSince judges a binding of what could be bound by what that is soon after.
func (j *Judge) bindingSince(event *recorded.Event, then objects.Sight) ledger.Judgement {
	switch sighting, err := audit.Sight(j.Digester, event.Head.Evidence, then.Body); {
	case !isOf(then, event) || err != nil:
		return goneSince
	case sighting != audit.SawAfter:
		return notPersisted
	case event.Kept > 0 && hasRival(event, lateFor+event.Kept), hasRival(event, race):
		return contested
	default:
		return persisted
	}
}

// canBeBound says that the event's pod was there, and could be bound.
func (j *Judge) canBeBound(event *recorded.Event, pod objects.Sight) bool {
	return isOf(pod, event) && pod.Meta.DeletionTimestamp == nil && j.isUnbound(event, pod.Body)
}

func (j *Judge) isUnbound(event *recorded.Event, pod []byte) bool {
	sighting, err := audit.Sight(j.Digester, event.Head.Evidence, pod)
	return err != nil || sighting == audit.SawBefore
}

// conditionSince is since when a pod's condition has been true, for a reason if one is given; zero when it is not.
func conditionSince(pod []byte, kind corev1.PodConditionType, reason string) time.Time {
	var body struct {
		Status struct {
			Conditions []struct {
				Type               corev1.PodConditionType `json:"type"`
				Status             corev1.ConditionStatus  `json:"status"`
				Reason             string                  `json:"reason"`
				LastTransitionTime metav1.Time             `json:"lastTransitionTime"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if json.Unmarshal(pod, &body) != nil {
		return time.Time{}
	}
	for _, c := range body.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue && (reason == "" || c.Reason == reason) {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}
