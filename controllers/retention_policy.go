package controllers

import (
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Defaults of RetentionPolicy, for trails that were stored without them and for events without a trail.
const (
	defaultTTL       = 24 * time.Hour
	defaultMaxEvents = 10_000
)

// verdict is what becomes of an event's copy in the cluster.
type verdict int

const (
	keep verdict = iota
	// pruneExpired prunes an event that is older than its trail keeps events.
	pruneExpired
	// pruneExcess prunes an event because the trail has too many.
	pruneExcess
	// pruneOrphan prunes an event whose trail no longer exists.
	pruneOrphan
)

// view is what the cluster was when events were listed.
type view struct {
	now time.Time
	// trails that exist, by uid. They must have been read before the events.
	trails map[string]*v1alpha1.AuditTrail
	// resourceVersion of the list of events.
	resourceVersion string
}

// judge decides over one event. excess says that its trail has more events than it may.
//
// An event of a trail that exists is pruned only when it is known to be delivered. One whose trail is gone can never
// be delivered, and is kept for a day for whoever wants to look.
func judge(event *v1alpha1.AuditEvent, v view, excess bool) verdict {
	trail := v.trails[event.Spec.TrailRef.UID]
	switch {
	case trail == nil && expired(event, defaultTTL, v.now):
		return pruneOrphan
	case trail == nil || !delivered(event, trail, v.resourceVersion):
		return keep
	case expired(event, ttlOf(trail), v.now):
		return pruneExpired
	case excess:
		return pruneExcess
	default:
		return keep
	}
}

// delivered says whether an event is at or below its trail's cursor. Whatever cannot be compared is not delivered.
//
// A write of status or of a note raises metadata.resourceVersion. Status keeps the first one; a note does not, so
// such an event is kept until the cursor has passed the note as well.
//
// A cursor ahead of the list is not one of this cluster's history (etcd was restored, or the trail copied from
// another cluster): delivery will start over, and everything counts as not delivered until it has.
func delivered(event *v1alpha1.AuditEvent, trail *v1alpha1.AuditTrail, listed string) bool {
	if trail.Status.Delivery == nil {
		return false
	}
	cursor := trail.Status.Delivery.ResourceVersion
	recorded := event.Status.RecordedResourceVersion
	if recorded == "" {
		recorded = event.ResourceVersion
	}
	return atMost(recorded, cursor) && atMost(cursor, listed)
}

// atMost is false when either is not a resourceVersion.
func atMost(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order <= 0
}

// expired goes by when the copy was created: an event that waited in a spill file is kept as long as any other.
func expired(event *v1alpha1.AuditEvent, ttl time.Duration, now time.Time) bool {
	return !event.CreationTimestamp.Add(ttl).After(now)
}

// mayBeExpired is false when neither this event nor any after it in the order of names can be expired: names begin
// with the time of the request, and nothing is created before its request. A name that is not a ULID says nothing.
func mayBeExpired(event metav1.Object, ttl time.Duration, now time.Time) bool {
	id, err := ulid.ParseStrict(strings.ToUpper(event.GetName()))
	return err != nil || !ulid.Time(id.Time()).Add(ttl).After(now)
}

func ttlOf(trail *v1alpha1.AuditTrail) time.Duration {
	if ttl := trail.Spec.Retention.TTLSeconds; ttl != nil {
		return time.Duration(*ttl) * time.Second
	}
	return defaultTTL
}

func maxEventsOf(trail *v1alpha1.AuditTrail) int64 {
	if limit := trail.Spec.Retention.MaxEvents; limit != nil {
		return int64(*limit)
	}
	return defaultMaxEvents
}
