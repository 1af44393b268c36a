package audit

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxEvidence bounds the places that one event remembers.
const maxEvidence = 8

// collectEvidence remembers digests of the places where an update differs, so that its outcome can be judged later
// without keeping the values: also at level Metadata, and where they are redacted. Status comes last, because
// controllers overwrite it all the time.
func collectEvidence(digester Digester, before, after object) []v1alpha1.Evidence {
	if before == nil || after == nil {
		return nil
	}
	var places []place
	compare(explicit(before), explicit(after), "", &places)
	slices.SortStableFunc(places, func(a, b place) int { return ComparePlaces(a.pointer, b.pointer) })
	evidence := make([]v1alpha1.Evidence, 0, min(len(places), maxEvidence))
	for _, p := range places {
		if len(evidence) == maxEvidence {
			break
		}
		if was, is := digester.digestEssence(p.before), digester.digestEssence(p.after); was != is {
			evidence = append(evidence, v1alpha1.Evidence{Path: p.pointer, Was: was, Digest: is})
		}
	}
	if len(evidence) > 0 || len(places) == 0 {
		return evidence
	}
	// Only a custom resource keeps such differences. What others say that they saw does not tell the two sides apart.
	for _, p := range places[:min(len(places), maxEvidence)] {
		never := digester.Digest([]any{"not to be found", p.pointer})
		evidence = append(evidence, v1alpha1.Evidence{Path: p.pointer, Was: never, Digest: digester.digestOrAbsent(p.after)})
	}
	return evidence
}

// nothingKeeps is the evidence of an update that changes nothing, and removes its object all the same because nothing keeps that any
// more: that its finalizers are as they were tells it from a deletion.
func nothingKeeps(digester Digester, object object) []v1alpha1.Evidence {
	finalizers := field(object, "metadata", "finalizers")
	if finalizers == nil {
		finalizers = absent{}
	}
	same := digester.digestOrAbsent(finalizers)
	return []v1alpha1.Evidence{{Path: "/metadata/finalizers", Was: same, Digest: same}}
}

// bindsTo is the evidence of a pod's binding to a node: the pod shows it.
func bindsTo(digester Digester, binding object) []v1alpha1.Evidence {
	return []v1alpha1.Evidence{{Path: "/spec/nodeName", Digest: digester.Digest(text(binding, "target", "name"))}}
}

// Retrace is the evidence that an update would have that turned one object, as JSON, into another. It fails when one of them is not
// JSON.
func Retrace(digester Digester, beforeJSON, afterJSON []byte) ([]v1alpha1.Evidence, error) {
	before, err := decode(beforeJSON)
	if err != nil {
		return nil, err
	}
	after, err := decode(afterJSON)
	if err != nil {
		return nil, err
	}
	strip(before)
	strip(after)
	return collectEvidence(digester, before, after), nil
}

// explicit gives a Scale of no replicas, which does not say so, the number that its object has.
func explicit(o object) object {
	spec, _ := o["spec"].(object)
	if _, given := spec["replicas"]; given || o["kind"] != "Scale" || o["apiVersion"] != "autoscaling/v1" {
		return o
	}
	o, spec = maps.Clone(o), maps.Clone(spec)
	if spec == nil {
		spec = object{}
	}
	spec["replicas"], o["spec"] = json.Number("0"), spec
	return o
}

// place is where two objects differ; a value is absent where the object has none.
type place struct {
	pointer       string
	before, after any
}

// ComparePlaces orders the places of evidence: those in status come last.
func ComparePlaces(a, b string) int {
	switch inA, inB := strings.HasPrefix(a, "/status"), strings.HasPrefix(b, "/status"); {
	case inA == inB:
		return strings.Compare(a, b)
	case inA:
		return 1
	default:
		return -1
	}
}

// absent stands for a value that is not there, which is not the same as null.
type absent struct{}

func (d Digester) digestOrAbsent(value any) string {
	if value == (absent{}) {
		return ""
	}
	return d.Digest(value)
}

// digestEssence is the digest of what is left of a value when it is stored.
func (d Digester) digestEssence(value any) string {
	if isNothing(value) {
		return ""
	}
	return d.digest(value, true)
}

// compare adds the places where two values differ. A list whose length changed is one place: its indexes moved.
func compare(before, after any, pointer string, places *[]place) {
	switch b := before.(type) {
	case object:
		if a, ok := after.(object); ok {
			compareObjects(b, a, pointer, places)
			return
		}
	case []any:
		if a, ok := after.([]any); ok && len(a) == len(b) {
			for i := range b {
				compare(b[i], a[i], pointer+"/"+strconv.Itoa(i), places)
			}
			return
		}
	}
	if !reflect.DeepEqual(before, after) {
		*places = append(*places, place{pointer, before, after})
	}
}

func compareObjects(before, after object, pointer string, places *[]place) {
	for key, old := range before {
		now, ok := after[key]
		switch {
		case !ok:
			now = absent{}
		case sameScalar(old, now):
			continue // Most values are, and cost no more than that.
		}
		compare(old, now, pointer+"/"+escape(key), places)
	}
	for key, now := range after {
		if _, ok := before[key]; !ok {
			compare(absent{}, now, pointer+"/"+escape(key), places)
		}
	}
}

func sameScalar(a, b any) bool {
	switch a.(type) {
	case string, json.Number, bool, nil:
		return a == b
	default:
		return false
	}
}

// Sighting is what an object shows of a change.
type Sighting int

const (
	// SawNeither means that the object shows neither the values before the change nor those after it, or a mixture.
	SawNeither Sighting = iota
	// SawBefore means that the object has the values from before the change.
	SawBefore
	// SawAfter means that the object has the values that the change wrote.
	SawAfter
)

// Sight compares an object, as JSON, with the evidence of a change. It fails when the object is not JSON.
func Sight(digester Digester, evidence []v1alpha1.Evidence, objectJSON []byte) (Sighting, error) {
	before, after := 0, 0
	for i := range evidence {
		value, err := lookUp(objectJSON, evidence[i].Path)
		if err != nil {
			return SawNeither, err
		}
		digest := digester.digestOrAbsent(value)
		if digest != evidence[i].Digest && digest != evidence[i].Was {
			digest = digester.digestEssence(value)
		}
		if digest == evidence[i].Digest {
			after++
		}
		if digest == evidence[i].Was {
			before++
		}
	}
	switch {
	case len(evidence) == 0:
		return SawNeither, nil
	case after == len(evidence):
		return SawAfter, nil
	case before == len(evidence):
		return SawBefore, nil
	default:
		return SawNeither, nil
	}
}

// size is the length of a value's JSON in bytes.
func size(value any) int {
	encoded, err := json.Marshal(value)
	if err != nil {
		return 0
	}
	return len(encoded)
}
