package delivery

import (
	"bytes"

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
}

// readMeta reads the metadata of an object.
func readMeta(object []byte) (objectMeta, error) {
	var meta objectMeta
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
			default:
				s.raw()
			}
		})
	})
	return meta, s.err
}

// withoutManagedFields is a copy of an object without what is often the larger part of it, and never evidence of a change.
func withoutManagedFields(object []byte) []byte {
	from, to := managedFields(object)
	if from == to {
		return bytes.Clone(object)
	}
	const nothing = "null"
	copied := make([]byte, 0, len(object)-(to-from)+len(nothing))
	copied = append(copied, object[:from]...)
	copied = append(copied, nothing...)
	return append(copied, object[to:]...)
}

// managedFields is where their value begins and ends; the same where there are none.
func managedFields(object []byte) (from, to int) {
	s := scan{data: object}
	s.object(func(name []byte) {
		if string(name) != "metadata" {
			s.raw()
			return
		}
		s.object(func(name []byte) {
			s.peek()
			begins := s.at
			s.raw()
			if string(name) == "managedFields" {
				from, to = begins, s.at
			}
		})
	})
	if s.err != nil {
		return 0, 0
	}
	return from, to
}
