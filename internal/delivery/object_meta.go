package delivery

import (
	"bytes"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// objectMeta is what delivery reads of an object's metadata.
type objectMeta struct {
	name              string
	UID               types.UID
	ResourceVersion   string
	CreationTimestamp metav1.Time
	DeletionTimestamp *metav1.Time

	DeletionGracePeriodSeconds *int64
	Finalizers                 []string
	// written is the last time, to the second, at which somebody wrote a field; zero when the API server did not note it.
	written time.Time
}

// readMeta reads the metadata of an object, and where its managedFields begin and end; the same place where it has none.
func readMeta(object []byte) (meta objectMeta, from, to int, err error) {
	s := scan{data: object}
	s.object(func(name []byte) {
		if string(name) != "metadata" {
			s.raw()
			return
		}
		s.object(func(name []byte) {
			switch string(name) {
			case "name":
				meta.name = s.text()
			case "uid":
				meta.UID = types.UID(s.text())
			case "resourceVersion":
				meta.ResourceVersion = s.text()
			case "creationTimestamp":
				meta.CreationTimestamp = metav1.Time{Time: s.time()}
			case "deletionTimestamp":
				meta.DeletionTimestamp = s.optionalTime()
			case "deletionGracePeriodSeconds":
				s.into(&meta.DeletionGracePeriodSeconds)
			case "finalizers":
				s.into(&meta.Finalizers)
			case "managedFields":
				s.peek()
				from = s.at
				s.list(func() { meta.scanManager(&s) })
				to = s.at
			default:
				s.raw()
			}
		})
	})
	return meta, from, to, s.err
}

// scanManager takes when one of the managers wrote last. What removes fields only is not noted.
func (m *objectMeta) scanManager(s *scan) {
	s.object(func(name []byte) {
		if string(name) != "time" {
			s.raw()
			return
		}
		if at := s.optionalTime(); at != nil && at.After(m.written) {
			m.written = at.Time
		}
	})
}

// readSight reads what an object shows. Its body is copied when the whole of it is wanted, without its managedFields: they are often
// the larger part of an object, and never evidence of a change.
func readSight(object []byte, whole bool) (sight, error) {
	meta, from, to, err := readMeta(object)
	if err != nil {
		return sight{}, err
	}
	seen := sight{exists: true, meta: meta}
	switch {
	case !whole:
	case from == to:
		seen.body = bytes.Clone(object)
	default:
		const nothing = "null"
		seen.body = make([]byte, 0, len(object)-(to-from)+len(nothing))
		seen.body = append(append(append(seen.body, object[:from]...), nothing...), object[to:]...)
	}
	return seen, nil
}
