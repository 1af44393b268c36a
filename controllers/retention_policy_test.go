package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func retentionTrail(cursor string, ttl *int32) *v1alpha1.AuditTrail {
	trail := &v1alpha1.AuditTrail{}
	trail.UID = "trail"
	trail.Spec.Retention.TTLSeconds = ttl
	if cursor != "" {
		trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: cursor}
	}
	return trail
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		uid      string // of the event's trail; "trail" exists
		age      time.Duration
		version  string // metadata.resourceVersion
		recorded string // status.recordedResourceVersion
		cursor   string
		listed   string
		ttl      *int32
		excess   bool
		want     verdict
	}{
		"young and delivered":                         {uid: "trail", age: time.Hour, version: "90", cursor: "100", want: keep},
		"old and delivered":                           {uid: "trail", age: 25 * time.Hour, version: "90", cursor: "100", want: pruneExpired},
		"exactly at its ttl":                          {uid: "trail", age: 24 * time.Hour, version: "90", cursor: "100", want: pruneExpired},
		"exactly at the cursor":                       {uid: "trail", age: 25 * time.Hour, version: "100", cursor: "100", want: pruneExpired},
		"old and just past the cursor":                {uid: "trail", age: 25 * time.Hour, version: "101", cursor: "100", want: keep},
		"versions are numbers, not text":              {uid: "trail", age: 25 * time.Hour, version: "1000", cursor: "999", want: keep},
		"old, trail never delivered":                  {uid: "trail", age: 99 * time.Hour, version: "90", want: keep},
		"too many, trail never delivered":             {uid: "trail", age: time.Hour, version: "90", excess: true, want: keep},
		"too many and delivered":                      {uid: "trail", age: time.Second, version: "90", cursor: "100", excess: true, want: pruneExcess},
		"too many, not delivered":                     {uid: "trail", age: time.Second, version: "101", cursor: "100", excess: true, want: keep},
		"status written after delivery":               {uid: "trail", age: 25 * time.Hour, version: "150", recorded: "90", cursor: "100", want: pruneExpired},
		"status written, not delivered":               {uid: "trail", age: 25 * time.Hour, version: "150", recorded: "120", cursor: "100", want: keep},
		"note written after delivery":                 {uid: "trail", age: 25 * time.Hour, version: "150", cursor: "100", want: keep},
		"cursor is not a number":                      {uid: "trail", age: 25 * time.Hour, version: "90", cursor: "x", want: keep},
		"recorded version is not a number":            {uid: "trail", age: 25 * time.Hour, version: "90", recorded: "0", cursor: "100", want: keep},
		"cursor ahead of the cluster":                 {uid: "trail", age: 25 * time.Hour, version: "90", cursor: "100", listed: "95", want: keep},
		"too many, cursor ahead of the cluster":       {uid: "trail", age: time.Second, version: "90", cursor: "100", listed: "95", excess: true, want: keep},
		"shorter ttl":                                 {uid: "trail", age: 2 * time.Minute, version: "90", cursor: "100", ttl: ptr.To[int32](60), want: pruneExpired},
		"longer ttl":                                  {uid: "trail", age: 25 * time.Hour, version: "90", cursor: "100", ttl: ptr.To[int32](2678400), want: keep},
		"orphan of less than a day":                   {uid: "gone", age: 23 * time.Hour, version: "90", want: keep},
		"orphan of a day":                             {uid: "gone", age: 24 * time.Hour, version: "90", want: pruneOrphan},
		"orphan is not of the trail that has excess":  {uid: "gone", age: time.Hour, version: "90", cursor: "100", excess: true, want: keep},
		"orphan past the cursor of another is pruned": {uid: "gone", age: 25 * time.Hour, version: "190", cursor: "100", want: pruneOrphan},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			event := &v1alpha1.AuditEvent{}
			event.CreationTimestamp = metav1.NewTime(now.Add(-test.age))
			event.ResourceVersion = test.version
			event.Status.RecordedResourceVersion = test.recorded
			event.Spec.TrailRef.UID = test.uid
			if test.listed == "" {
				test.listed = "10000"
			}
			v := view{
				now:             now,
				trails:          map[string]*v1alpha1.AuditTrail{"trail": retentionTrail(test.cursor, test.ttl)},
				resourceVersion: test.listed,
			}
			NewWithT(t).Expect(judge(event, v, test.excess)).To(Equal(test.want))
		})
	}
}

func TestMayBeExpired(t *testing.T) {
	g := NewWithT(t)
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	named := func(name string) metav1.Object { return &metav1.ObjectMeta{Name: name} }
	at := func(age time.Duration) metav1.Object {
		return named(strings.ToLower(ulid.MustNew(ulid.Timestamp(now.Add(-age)), nil).String()))
	}
	g.Expect(mayBeExpired(at(time.Hour), time.Hour, now)).To(BeTrue())
	g.Expect(mayBeExpired(at(time.Hour-time.Second), time.Hour, now)).To(BeFalse())
	g.Expect(mayBeExpired(named("made-by-hand"), time.Hour, now)).To(BeTrue(), "says nothing")
}
