package delivery

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// Head are the fields of an AuditEvent's spec that delivery reads.
type Head struct {
	ID       string                  `json:"id"`
	Time     metav1.MicroTime        `json:"time"`
	Action   v1alpha1.Action         `json:"action"`
	TrailRef v1alpha1.TrailReference `json:"trailRef"`
	Actor    struct {
		Type     v1alpha1.ActorType `json:"type"`
		Username string             `json:"username"`
	} `json:"actor"`
	Resource v1alpha1.ResourceReference `json:"resource"`
	Request  struct {
		PropagationPolicy  metav1.DeletionPropagation `json:"propagationPolicy"`
		GracePeriodSeconds *int64                     `json:"gracePeriodSeconds"`
	} `json:"request"`
	Evidence []v1alpha1.Evidence `json:"evidence"`
}

// scan reads a spec.
func (h *Head) scan(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "id":
			h.ID = s.text()
		case "time":
			h.Time = metav1.MicroTime{Time: s.time()}
		case "action":
			h.Action = v1alpha1.Action(s.word())
		case "trailRef":
			scanTrailRef(s, &h.TrailRef)
		case "actor":
			h.scanActor(s)
		case "resource":
			scanResource(s, &h.Resource)
		case "request":
			h.scanRequest(s)
		case "evidence":
			h.scanEvidence(s)
		default:
			s.raw()
		}
	})
}

func (h *Head) scanActor(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "type":
			h.Actor.Type = v1alpha1.ActorType(s.word())
		case "username":
			h.Actor.Username = s.word()
		default:
			s.raw()
		}
	})
}

func (h *Head) scanRequest(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "propagationPolicy":
			h.Request.PropagationPolicy = metav1.DeletionPropagation(s.word())
		case "gracePeriodSeconds":
			s.into(&h.Request.GracePeriodSeconds)
		default:
			s.raw()
		}
	})
}

func (h *Head) scanEvidence(s *scan) {
	s.list(func() {
		var evidence v1alpha1.Evidence
		s.object(func(name []byte) {
			switch string(name) {
			case "path":
				evidence.Path = s.word()
			case "was":
				evidence.Was = s.text()
			case "digest":
				evidence.Digest = s.text()
			default:
				s.raw()
			}
		})
		h.Evidence = append(h.Evidence, evidence)
	})
}

func scanTrailRef(s *scan, ref *v1alpha1.TrailReference) {
	s.object(func(name []byte) {
		switch string(name) {
		case "namespace":
			ref.Namespace = s.word()
		case "name":
			ref.Name = s.word()
		case "uid":
			ref.UID = s.word()
		default:
			s.raw()
		}
	})
}

func scanResource(s *scan, ref *v1alpha1.ResourceReference) {
	s.object(func(name []byte) {
		switch string(name) {
		case "group":
			ref.Group = s.word()
		case "version":
			ref.Version = s.word()
		case "resource":
			ref.Resource = s.word()
		case "subresource":
			ref.Subresource = s.word()
		case "kind":
			ref.Kind = s.word()
		case "namespace":
			ref.Namespace = s.word()
		case "name":
			ref.Name = s.text()
		case "uid":
			ref.UID = s.text()
		case "resourceVersion":
			ref.ResourceVersion = s.text()
		case "deletionTime":
			ref.DeletionTime = s.optionalTime()
		default:
			s.raw()
		}
	})
}

// origin is what a spec says of where its event belongs, without what it takes to judge it.
type origin struct {
	// trail is the uid of the trail that asked for the event.
	trail types.UID
	// object is the uid of the object, and version its resourceVersion before the change.
	object, version string
}

// scan reads a spec.
func (o *origin) scan(s *scan) {
	s.object(func(name []byte) {
		switch string(name) {
		case "trailRef":
			var ref v1alpha1.TrailReference
			scanTrailRef(s, &ref)
			o.trail = types.UID(ref.UID)
		case "resource":
			s.object(func(name []byte) {
				switch string(name) {
				case "uid":
					o.object = s.text()
				case "resourceVersion":
					o.version = s.text()
				default:
					s.raw()
				}
			})
		default:
			s.raw()
		}
	})
}
