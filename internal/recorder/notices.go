package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/rules"
)

// noticeWriters is how many trails are told at once.
const noticeWriters = 8

// Notices tell trails what happened to recording itself. Each happening is one event of each trail that it concerns,
// stored as every other event is.
type Notices struct {
	rules    *rules.Store
	store    store
	operator v1alpha1.Actor
	replica  string
}

// NewNotices returns Notices that speak as the operator, from a replica.
func NewNotices(set *rules.Store, store store, operatorUsername, replica string) *Notices {
	return &Notices{rules: set, store: store, replica: replica, operator: v1alpha1.Actor{
		Type: rules.ActorType(operatorUsername, nil), Username: operatorUsername,
	}}
}

// Started tells every trail that this replica records.
func (n *Notices) Started(ctx context.Context, at time.Time) error {
	return n.all(ctx, func(*rules.CompiledTrail) *audit.Happening {
		return n.happening(at, n.replica, v1alpha1.Notice{
			Reason: v1alpha1.NoticeRecorderStarted, Message: "Replica " + n.replica + " began to record",
		})
	})
}

// Stopped tells every trail that this replica ended in good order.
func (n *Notices) Stopped(ctx context.Context, at time.Time) error {
	return n.all(ctx, func(*rules.CompiledTrail) *audit.Happening {
		return n.happening(at, n.replica, v1alpha1.Notice{
			Reason: v1alpha1.NoticeRecorderStopped, Message: "Replica " + n.replica + " stopped recording, in good order",
		})
	})
}

// Absent tells the trails that were there that no replica recorded for a while. Whoever tells the same window again
// adds nothing.
func (n *Notices) Absent(ctx context.Context, start, end time.Time) error {
	return n.all(ctx, func(trail *rules.CompiledTrail) *audit.Happening {
		return n.gap(trail, start, end, "absent", "No replica of the operator was alive")
	})
}

// Restored tells every trail that the webhook configuration was other than the trails ask for.
func (n *Notices) Restored(ctx context.Context, what string, times int, start, end time.Time) error {
	err := n.all(ctx, func(*rules.CompiledTrail) *audit.Happening {
		message := "Somebody " + what + " the webhook configuration trailkeeper-recorder, and the operator restored it"
		if times > 1 {
			message = fmt.Sprintf("%s; %d times", message, times)
		}
		return n.happening(end, what, v1alpha1.Notice{
			Reason: v1alpha1.NoticeConfigurationRestored, Message: message, Start: micro(start), End: micro(end),
		})
	})
	return errors.Join(err, n.all(ctx, func(trail *rules.CompiledTrail) *audit.Happening {
		gap := n.gap(trail, start, end, what, "The webhook configuration trailkeeper-recorder was "+what)
		if gap != nil && trail.FailurePolicy == v1alpha1.FailurePolicyFail {
			// What the API server was not told to ask for, it could not refuse either.
			gap.Notice.Message = "The webhook configuration trailkeeper-recorder was " + what + ": changes may be missing"
		}
		return gap
	}))
}

// gap is nil for a trail that may be younger: creation times are cut to seconds. A trail that refuses what it cannot
// record missed only what is never refused.
func (n *Notices) gap(trail *rules.CompiledTrail, start, end time.Time, subject, why string) *audit.Happening {
	if trail.Created.Add(time.Second).After(end) {
		return nil
	}
	if start.Before(trail.Created) {
		start = trail.Created
	}
	message := why + ": changes may be missing"
	if trail.FailurePolicy == v1alpha1.FailurePolicyFail {
		message = why + ": changes were refused, but in kube-system and the operator's namespace they may be missing"
	}
	return n.happening(end, subject, v1alpha1.Notice{
		Reason: v1alpha1.NoticeGap, Message: message, Start: micro(start), End: micro(end),
	})
}

// lost is the gap that counted losses leave.
func (n *Notices) lost(at time.Time, loss *loss) *audit.Happening {
	count := loss.count
	subject, message := n.replica, "Replica %s could record %d events nowhere: neither the API server nor its local file took them"
	if loss.turnedAway {
		subject, message = n.replica+"/turned-away", "Replica %s left %d events unrecorded: so many wait for the destination that no more may"
	}
	return n.happening(at, subject, v1alpha1.Notice{
		Reason:  v1alpha1.NoticeGap,
		Message: fmt.Sprintf(message, n.replica, count),
		Start:   micro(loss.first), End: micro(loss.last), Count: &count,
	})
}

// Tell records a notice in a trail. Whoever tells it again, of the same time and subject, adds nothing.
func (n *Notices) Tell(ctx context.Context, trail v1alpha1.TrailReference, at time.Time, subject string, notice v1alpha1.Notice) error {
	return n.tell(ctx, trail, n.happening(at, subject, notice))
}

// changed says which spec the API server has been told of.
func (n *Notices) changed(at time.Time, generation int64, message string) *audit.Happening {
	return n.happening(at, fmt.Sprint(generation), v1alpha1.Notice{
		Reason: v1alpha1.NoticeConfigurationChanged, Message: message,
	})
}

func (n *Notices) happening(at time.Time, subject string, notice v1alpha1.Notice) *audit.Happening {
	return &audit.Happening{Notice: notice, Time: at, Subject: subject, Operator: n.operator}
}

// all tells each active trail what about returns for it, unless that is nil.
func (n *Notices) all(ctx context.Context, about func(*rules.CompiledTrail) *audit.Happening) error {
	set := n.rules.Load()
	if set == nil {
		return nil
	}
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, noticeWriters)
	)
	for _, trail := range set.Trails() {
		happening := about(trail)
		if happening == nil {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := n.tell(ctx, referenceTo(trail), happening); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// tell stores one notice. It is not stored in the local file first, whatever the trail's durability: nobody waits.
func (n *Notices) tell(ctx context.Context, trail v1alpha1.TrailReference, happening *audit.Happening) error {
	if _, err := n.store.Record(ctx, happening.Event(trail), v1alpha1.DurabilityReplicated); err != nil {
		return fmt.Errorf("telling trail %s/%s of %s: %w", trail.Namespace, trail.Name, happening.Notice.Reason, err)
	}
	return nil
}

func referenceTo(trail *rules.CompiledTrail) v1alpha1.TrailReference {
	return v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)}
}

func micro(t time.Time) *metav1.MicroTime {
	at := metav1.NewMicroTime(t.UTC())
	return &at
}
