package audit

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/wI2L/jsondiff"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// diff is the difference as RFC 6902 operations, in the order of the members' names; none when one of the objects is absent.
func diff(before, after object) jsondiff.Patch {
	if before == nil || after == nil {
		return nil
	}
	return appendDiff(nil, before, after, "")
}

// appendDiff adds how two objects differ. Lists are left to the library, which is a lot of work for what is nearly the same.
func appendDiff(patch jsondiff.Patch, before, after object, pointer string) jsondiff.Patch {
	for _, key := range keysOf(before, after) {
		old, was := before[key]
		now, is := after[key]
		if was && is && sameScalar(old, now) {
			continue
		}
		at := pointer + "/" + escape(key)
		switch {
		case !is:
			patch = append(patch, jsondiff.Operation{Type: jsondiff.OperationRemove, Path: at, OldValue: old})
		case !was:
			patch = append(patch, jsondiff.Operation{Type: jsondiff.OperationAdd, Path: at, Value: now})
		default:
			patch = appendValues(patch, old, now, at)
		}
	}
	return patch
}

// appendValues adds how two values differ that are not the same scalar.
func appendValues(patch jsondiff.Patch, before, after any, pointer string) jsondiff.Patch {
	switch old := before.(type) {
	case object:
		if now, ok := after.(object); ok {
			return appendDiff(patch, old, now, pointer)
		}
	case []any:
		if now, ok := after.([]any); ok {
			return appendLists(patch, old, now, pointer)
		}
	}
	return append(patch, jsondiff.Operation{Type: jsondiff.OperationReplace, Path: pointer, OldValue: before, Value: after})
}

func appendLists(patch jsondiff.Patch, before, after []any, pointer string) jsondiff.Patch {
	if reflect.DeepEqual(before, after) {
		return patch
	}
	inside, err := jsondiff.CompareWithoutMarshal(before, after)
	if err != nil {
		// Only values that are not JSON fail, and both sides were decoded from JSON.
		panic(fmt.Sprintf("comparing two JSON lists: %v", err))
	}
	for _, operation := range inside {
		operation.Path = pointer + operation.Path
		patch = append(patch, operation)
	}
	return patch
}

// keysOf are the names of the members of either object, sorted.
func keysOf(before, after object) []string {
	keys := make([]string, 0, len(before)+1)
	for key := range before {
		keys = append(keys, key)
	}
	for key := range after {
		if _, known := before[key]; !known {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
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
	return &runtime.RawExtension{Raw: appendValue(nil, value, false)}
}

func pointerTo[T any](value T) *T { return &value }
