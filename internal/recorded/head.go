package recorded

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
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

// Scan reads a spec.
func (h *Head) scan(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "id":
			h.ID = s.Text()
		case "time":
			h.Time = metav1.MicroTime{Time: s.Time()}
		case "action":
			h.Action = v1alpha1.Action(s.Word())
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
			s.Raw()
		}
	})
}

func (h *Head) scanActor(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "type":
			h.Actor.Type = v1alpha1.ActorType(s.Word())
		case "username":
			h.Actor.Username = s.Word()
		default:
			s.Raw()
		}
	})
}

func (h *Head) scanRequest(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "propagationPolicy":
			h.Request.PropagationPolicy = metav1.DeletionPropagation(s.Word())
		case "gracePeriodSeconds":
			s.Into(&h.Request.GracePeriodSeconds)
		default:
			s.Raw()
		}
	})
}

func (h *Head) scanEvidence(s *apijson.Scan) {
	s.List(func() {
		var evidence v1alpha1.Evidence
		s.Object(func(name []byte) {
			switch string(name) {
			case "path":
				evidence.Path = s.Word()
			case "was":
				evidence.Was = s.Text()
			case "digest":
				evidence.Digest = s.Text()
			default:
				s.Raw()
			}
		})
		h.Evidence = append(h.Evidence, evidence)
	})
}

func scanTrailRef(s *apijson.Scan, ref *v1alpha1.TrailReference) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "namespace":
			ref.Namespace = s.Word()
		case "name":
			ref.Name = s.Word()
		case "uid":
			ref.UID = s.Word()
		default:
			s.Raw()
		}
	})
}

func scanResource(s *apijson.Scan, ref *v1alpha1.ResourceReference) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "group":
			ref.Group = s.Word()
		case "version":
			ref.Version = s.Word()
		case "resource":
			ref.Resource = s.Word()
		case "subresource":
			ref.Subresource = s.Word()
		case "kind":
			ref.Kind = s.Word()
		case "namespace":
			ref.Namespace = s.Word()
		case "name":
			ref.Name = s.Text()
		case "uid":
			ref.UID = s.Text()
		case "resourceVersion":
			ref.ResourceVersion = s.Text()
		case "deletionTime":
			ref.DeletionTime = s.OptionalTime()
		default:
			s.Raw()
		}
	})
}

// Origin is what a spec says of where its event belongs, without what it takes to judge it.
type Origin struct {
	// Trail is the uid of the trail that asked for the event.
	Trail types.UID
	// Object is the uid of the object, and version its resourceVersion before the change.
	Object, Version string
}

// Scan reads a spec.
func (o *Origin) scan(s *apijson.Scan) {
	s.Object(func(name []byte) {
		switch string(name) {
		case "trailRef":
			var ref v1alpha1.TrailReference
			scanTrailRef(s, &ref)
			o.Trail = types.UID(ref.UID)
		case "resource":
			s.Object(func(name []byte) {
				switch string(name) {
				case "uid":
					o.Object = s.Text()
				case "resourceVersion":
					o.Version = s.Text()
				default:
					s.Raw()
				}
			})
		default:
			s.Raw()
		}
	})
}
