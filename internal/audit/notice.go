package audit

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Happening is something that happened to recording itself, and that its trails are told.
type Happening struct {
	// Notice is what they are told.
	Notice v1alpha1.Notice
	// Time is when it happened.
	Time time.Time
	// Subject tells what happened at one time apart: the replica, or the trail's generation.
	Subject string
	// Operator is who tells it.
	Operator v1alpha1.Actor
}

// maxMessage is the API's bound of a notice's message.
const maxMessage = 1024

// Event is the happening as an event of one trail. Whoever makes it again gives it the same name and id: what is told
// twice is stored once.
func (h *Happening) Event(trail v1alpha1.TrailReference) *v1alpha1.AuditEvent {
	notice := h.Notice
	notice.Message = cutRunes(notice.Message, maxMessage)
	return &v1alpha1.AuditEvent{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{
			Name:      h.name(trail.UID),
			Namespace: trail.Namespace,
			Labels:    labels(trail.Name),
		},
		Spec: v1alpha1.AuditEventSpec{
			ID:       ulidOf(h.Time, h.digest("")),
			Time:     metav1.NewMicroTime(h.Time.UTC()),
			Action:   v1alpha1.ActionNotice,
			TrailRef: trail,
			Actor:    h.Operator,
			Resource: v1alpha1.ResourceReference{
				Group:     v1alpha1.GroupVersion.Group,
				Version:   v1alpha1.GroupVersion.Version,
				Resource:  v1alpha1.AuditTrailsResource.Resource,
				Kind:      "AuditTrail",
				Namespace: trail.Namespace,
				Name:      trail.Name,
				UID:       trail.UID,
			},
			Notice: &notice,
			Level:  v1alpha1.LevelMetadata,
		},
	}
}

func (h *Happening) name(trailUID string) string { return ulidOf(h.Time, h.digest(trailUID)) }

// digest tells happenings apart, in one trail or, without one, in all. It has no key: there is nothing to hide.
func (h *Happening) digest(trailUID string) [sha256.Size]byte {
	// Strings can always be encoded.
	identity, _ := json.Marshal([]string{
		string(h.Notice.Reason), h.Subject, h.Time.UTC().Format(time.RFC3339Nano), trailUID,
	})
	return sha256.Sum256(identity)
}

// ulidOf is a lower-case ULID of a time and of a digest in place of what is random.
func ulidOf(t time.Time, digest [sha256.Size]byte) string {
	var id ulid.ULID
	// Only times after the year 10889 do not fit.
	_ = id.SetTime(ulid.Timestamp(t))
	_ = id.SetEntropy(digest[:10])
	return strings.ToLower(id.String())
}
