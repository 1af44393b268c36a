package audit

import (
	"fmt"
	"reflect"

	"github.com/wI2L/jsondiff"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// diff is the difference as RFC 6902 operations, as the library gives them; none when one of the objects is absent.
func diff(before, after object) jsondiff.Patch {
	if before == nil || after == nil {
		return nil
	}
	before, after = differing(before, after)
	if before == nil && after == nil {
		return nil
	}
	patch, err := jsondiff.CompareWithoutMarshal(before, after)
	if err != nil {
		// Only values that are not JSON fail, and both sides were decoded from JSON.
		panic(fmt.Sprintf("comparing two JSON objects: %v", err))
	}
	return patch
}

// differing are two objects without the members in which they are the same, at any depth; nil where nothing is left. They are all that the
// library needs to see, and most of an object is not in them.
func differing(before, after object) (differingBefore, differingAfter object) {
	keep := func(key string, old, now any) {
		differingBefore, differingAfter = with(differingBefore, key, old), with(differingAfter, key, now)
	}
	for key, old := range before {
		now, ok := after[key]
		if !ok {
			differingBefore = with(differingBefore, key, old)
			continue
		}
		oldObject, wasObject := old.(object)
		nowObject, isObject := now.(object)
		switch {
		case wasObject && isObject:
			if oldRest, nowRest := differing(oldObject, nowObject); oldRest != nil || nowRest != nil {
				keep(key, oldRest, nowRest)
			}
		case !sameScalar(old, now) && !reflect.DeepEqual(old, now):
			keep(key, old, now)
		}
	}
	for key, now := range after {
		if _, ok := before[key]; !ok {
			differingAfter = with(differingAfter, key, now)
		}
	}
	return differingBefore, differingAfter
}

func with(o object, key string, value any) object {
	if o == nil {
		o = object{}
	}
	o[key] = value
	return o
}

// changes are the operations that an event shows: the whole object for a Create or a Delete, the difference, which is patch, otherwise.
func (c *Change) changes(before, after object, patch jsondiff.Patch) []v1alpha1.Change {
	switch {
	case c.marksForDeletion:
		// Finalizers keep the object; the API server will choose the timestamp.
		return []v1alpha1.Change{{Op: "add", Path: pointerTo("/metadata/deletionTimestamp")}}
	case before == nil && after == nil:
		return nil
	case before == nil:
		return []v1alpha1.Change{{Op: "add", Path: pointerTo(""), Value: raw(after)}}
	case after == nil:
		return []v1alpha1.Change{{Op: "remove", Path: pointerTo(""), From: raw(before)}}
	}
	changes := make([]v1alpha1.Change, 0, len(patch))
	for i := range patch {
		changes = append(changes, change(&patch[i]))
	}
	return changes
}

func change(operation *jsondiff.Operation) v1alpha1.Change {
	shown := v1alpha1.Change{Op: v1alpha1.ChangeOp(operation.Type), Path: pointerTo(operation.Path)}
	if operation.Type != jsondiff.OperationRemove {
		shown.Value = raw(operation.Value)
	}
	if operation.Type != jsondiff.OperationAdd {
		shown.From = raw(operation.OldValue)
	}
	return shown
}

func raw(value any) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: appendValue(nil, value)}
}

func pointerTo[T any](value T) *T { return &value }
