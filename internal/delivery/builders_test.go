package delivery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

var recordedTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newTrail is a trail that pushes, with a uid.
func newTrail(namespace, name string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name + "/uid")},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: "eu-west-1", LogGroupName: "/audit/" + name, LogStreamName: "cluster-a",
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
			},
		},
	}
}

// newEvent is a trail's event of something that needs no outcome. Its note makes it about bytes long.
func newEvent(trail *v1alpha1.AuditTrail, name string, at time.Time) *v1alpha1.AuditEvent {
	return &v1alpha1.AuditEvent{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{Namespace: trail.Namespace, Name: name},
		Spec: v1alpha1.AuditEventSpec{
			ID:       "id-" + name,
			Time:     metav1.NewMicroTime(at),
			Action:   v1alpha1.ActionConnect,
			TrailRef: v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)},
			Actor:    v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: "jane"},
			Resource: v1alpha1.ResourceReference{
				Version: "v1", Resource: "pods", Subresource: "exec", Kind: "Pod", Namespace: trail.Namespace, Name: "web-" + name,
			},
			Request: &v1alpha1.RequestInfo{UID: "request-" + name},
			Note:    strings.Repeat("because ", 25),
			Level:   v1alpha1.LevelMetadata,
		},
	}
}

// about makes an event one of a change to a ConfigMap.
func about(event *v1alpha1.AuditEvent, action v1alpha1.Action, uid, base string) *v1alpha1.AuditEvent {
	event.Spec.Action = action
	event.Spec.Resource = v1alpha1.ResourceReference{
		Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: event.Namespace, Name: "web", UID: uid, ResourceVersion: base,
	}
	return event
}

// stored is an event as delivery reads it from the API server.
func stored(t *testing.T, event *v1alpha1.AuditEvent, version uint64) *recorded.Wire {
	t.Helper()
	g := NewWithT(t)
	event.ResourceVersion = apijson.FormatVersion(version)
	encoded, err := json.Marshal(event)
	g.Expect(err).NotTo(HaveOccurred())
	wire, err := recorded.ReadWire(encoded)
	g.Expect(err).NotTo(HaveOccurred())
	return wire
}

// taken is an event as a courier holds it.
func taken(t *testing.T, event *v1alpha1.AuditEvent, version uint64) recorded.Event {
	t.Helper()
	decoded, err := stored(t, event, version).Event()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return decoded
}

func eventName(n int) string { return fmt.Sprintf("event-%05d", n) }

// versionsOf and namesOf make failures readable.
func versionsOf(events []recorded.Event) []uint64 {
	versions := make([]uint64, len(events))
	for i := range events {
		versions[i] = events[i].ResourceVersion
	}
	return versions
}

func namesOf(events []recorded.Event) []string {
	names := make([]string, len(events))
	for i := range events {
		names[i] = events[i].Name
	}
	return names
}
