package delivery

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/conditions"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/patch"
)

// commitTimeout bounds one write of the cursor.
const commitTimeout = 10 * time.Second

// deposedError says that somebody else has moved the cursor: this replica is no longer the leader, or the trail is gone.
type deposedError struct{ reason string }

func (e *deposedError) Error() string { return "not committing the cursor: " + e.reason }

// cursor is how far a trail was delivered.
type cursor struct {
	version   uint64
	head      ledger.Head
	delivered int64
	rejected  int64
	last      *metav1.Time
}

// loadCursor is where a trail's status says that delivery stopped.
func loadCursor(trail *v1alpha1.AuditTrail) (cursor, error) {
	genesis := cursor{head: ledger.Genesis(string(trail.UID))}
	status := trail.Status.Delivery
	if status == nil || status.ResourceVersion == "" {
		return genesis, nil
	}
	version, err := apijson.ParseVersion(status.ResourceVersion)
	if err != nil {
		return genesis, fmt.Errorf("reading the cursor of AuditTrail %s/%s: %w", trail.Namespace, trail.Name, err)
	}
	c := cursor{
		version:   version,
		head:      ledger.Head{Sequence: status.Sequence, Hash: status.Hash},
		delivered: status.Delivered,
		rejected:  status.Rejected,
		last:      status.LastDeliveredTime,
	}
	if c.head.Hash == "" {
		c.head = genesis.head
	}
	return c, nil
}

func (c *cursor) status(pending int64, drained *metav1.Time) *v1alpha1.DeliveryStatus {
	return &v1alpha1.DeliveryStatus{
		ResourceVersion:   apijson.FormatVersion(c.version),
		Sequence:          c.head.Sequence,
		Hash:              c.head.Hash,
		LastDeliveredTime: c.last,
		Delivered:         c.delivered,
		Rejected:          c.rejected,
		Pending:           pending,
		DrainedTime:       drained,
	}
}

// progress is what of a trail's status is delivery's, beside the condition.
type progress struct {
	delivery *v1alpha1.DeliveryStatus
	ledger   *v1alpha1.LedgerStatus
}

func progressOf(trail *v1alpha1.AuditTrail) progress {
	return progress{trail.Status.Delivery, trail.Status.Ledger}
}

// State is how the delivery of a trail goes.
type State struct {
	// Reason is empty while events reach the destination, and otherwise a reason of the condition Delivering.
	Reason string
	// Message says what is wrong, in fixed words.
	Message string
}

// committer writes cursors.
type committer struct {
	reader client.Reader
	client client.Client
	clock  clock.PassiveClock
}

// commit writes the cursor if the status still holds the one that this replica wrote last, or this very one after an
// answer that got lost, and the condition Delivering with it. A deposedError says that it holds neither.
func (c *committer) commit(ctx context.Context, served *v1alpha1.AuditTrail, last, next progress, state State) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	for {
		trail, err := c.read(ctx, served)
		if err != nil {
			return err
		}
		if stored := progressOf(trail); !stored.same(last) && !stored.same(next) {
			return &deposedError{"another replica has moved it"}
		}
		status := v1alpha1.AuditTrailStatus{Delivery: next.delivery, Ledger: next.ledger}
		for _, condition := range []*metav1.Condition{c.delivering(trail, state), c.complete(trail, next.delivery)} {
			if condition != nil {
				status.Conditions = append(status.Conditions, *condition)
			}
		}
		// The API server refuses it when somebody has written the trail in between.
		err = patch.StatusAt(ctx, c.client, patch.DeliveryOwner, trail, status)
		if apierrors.IsConflict(err) {
			continue
		}
		return err
	}
}

// holds fails with a deposedError unless the status still holds the cursor that this replica wrote last, or tried to.
func (c *committer) holds(ctx context.Context, served *v1alpha1.AuditTrail, last progress, unsure *progress) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	trail, err := c.read(ctx, served)
	if err != nil {
		return err
	}
	if stored := progressOf(trail); !stored.same(last) && (unsure == nil || !stored.same(*unsure)) {
		return &deposedError{"another replica has moved it"}
	}
	return nil
}

// Read reads the trail that is served, if it is still there.
func (c *committer) read(ctx context.Context, served *v1alpha1.AuditTrail) (*v1alpha1.AuditTrail, error) {
	key := client.ObjectKeyFromObject(served)
	var trail v1alpha1.AuditTrail
	if err := c.reader.Get(ctx, key, &trail); apierrors.IsNotFound(err) {
		return nil, &deposedError{"the trail is gone"}
	} else if err != nil {
		return nil, fmt.Errorf("reading AuditTrail %s to commit its cursor: %w", key, err)
	}
	if trail.UID != served.UID {
		return nil, &deposedError{"the trail was made again"}
	}
	return &trail, nil
}

// delivering is the condition Delivering; nil for a trail that pushes nowhere.
func (c *committer) delivering(trail *v1alpha1.AuditTrail, state State) *metav1.Condition {
	switch {
	case trail.Spec.CloudWatch == nil:
		return nil
	case state.Reason == "":
		conditions.True(trail, c.clock.Now(), v1alpha1.DeliveringCondition, v1alpha1.ReasonSucceeded, "Events reach the destination"+state.Message)
	default:
		conditions.False(trail, c.clock.Now(), v1alpha1.DeliveringCondition, state.Reason, state.Message)
	}
	return conditions.Get(trail, v1alpha1.DeliveringCondition)
}

// complete is the condition Complete; nil while nothing is missing.
func (c *committer) complete(trail *v1alpha1.AuditTrail, next *v1alpha1.DeliveryStatus) *metav1.Condition {
	if next.Rejected == 0 || trail.Spec.CloudWatch == nil {
		return nil
	}
	conditions.False(trail, c.clock.Now(), v1alpha1.CompleteCondition, v1alpha1.ReasonRecordRejected, fmt.Sprintf(
		"The destination refused %d records for good: AuditEvents with spec.notice.reason %s tell which; "+
			"the AuditEvents themselves are in the cluster until they are pruned", next.Rejected, v1alpha1.NoticeGap))
	return conditions.Get(trail, v1alpha1.CompleteCondition)
}

// same compares what makes up the position; times lose precision when they are stored.
func (p progress) same(other progress) bool {
	return sameCursor(p.delivery, other.delivery) && equality.Semantic.DeepEqual(p.ledger, other.ledger)
}

func sameCursor(a, b *v1alpha1.DeliveryStatus) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.LastDeliveredTime, y.LastDeliveredTime = nil, nil
	return equality.Semantic.DeepEqual(x, y)
}
