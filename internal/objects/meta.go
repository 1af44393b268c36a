package objects

import (
	"bytes"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// Meta is what delivery reads of an object's metadata.
type Meta struct {
	name              string
	UID               types.UID
	ResourceVersion   string
	CreationTimestamp metav1.Time
	DeletionTimestamp *metav1.Time

	DeletionGracePeriodSeconds *int64
	Finalizers                 []string
	// Written is the last time, to the second, at which somebody wrote a field; zero when the API server did not note it.
	Written time.Time
}

// readMeta reads the metadata of an object, and where its managedFields begin and end; the same place where it has none.
func readMeta(object []byte) (meta Meta, from, to int, err error) {
	s := apijson.Scan{Data: object}
	s.Object(func(name []byte) {
		if string(name) != "metadata" {
			s.Raw()
			return
		}
		s.Object(func(name []byte) {
			switch string(name) {
			case "name":
				meta.name = s.Text()
			case "uid":
				meta.UID = types.UID(s.Text())
			case "resourceVersion":
				meta.ResourceVersion = s.Text()
			case "creationTimestamp":
				meta.CreationTimestamp = metav1.Time{Time: s.Time()}
			case "deletionTimestamp":
				meta.DeletionTimestamp = s.OptionalTime()
			case "deletionGracePeriodSeconds":
				s.Into(&meta.DeletionGracePeriodSeconds)
			case "finalizers":
				s.Into(&meta.Finalizers)
			case "managedFields":
				s.Peek()
				from = s.Offset()
				s.List(func() { meta.scanManager(&s) })
				to = s.Offset()
			default:
				s.Raw()
			}
		})
	})
	return meta, from, to, s.Err
}

// scanManager takes when one of the managers wrote last. What removes fields only is not noted.
func (m *Meta) scanManager(s *apijson.Scan) {
	s.Object(func(name []byte) {
		if string(name) != "time" {
			s.Raw()
			return
		}
		if at := s.OptionalTime(); at != nil && at.After(m.Written) {
			m.Written = at.Time
		}
	})
}

// readSight reads what an object shows. Its body is copied when the whole of it is wanted, without its managedFields: they are often
// the larger part of an object, and never evidence of a change.
func readSight(object []byte, whole bool) (Sight, error) {
	meta, from, to, err := readMeta(object)
	if err != nil {
		return Sight{}, err
	}
	seen := Sight{Exists: true, Meta: meta}
	switch {
	case !whole:
	case from == to:
		seen.Body = bytes.Clone(object)
	default:
		const nothing = "null"
		seen.Body = make([]byte, 0, len(object)-(to-from)+len(nothing))
		seen.Body = append(append(append(seen.Body, object[:from]...), nothing...), object[to:]...)
	}
	return seen, nil
}
