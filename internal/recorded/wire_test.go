package recorded

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// filled gives every field below a value another one, so that a field that is forgotten shows.
func filled(value reflect.Value, n *int) {
	*n++
	at := time.Unix(1_700_000_000+int64(*n), 5000).Local()
	switch value.Interface().(type) {
	case metav1.Time:
		value.Set(reflect.ValueOf(metav1.NewTime(at.Truncate(time.Second))))
		return
	case metav1.MicroTime:
		value.Set(reflect.ValueOf(metav1.NewMicroTime(at)))
		return
	}
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			filled(value.Field(i), n)
		}
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		filled(value.Elem(), n)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 2, 2))
		filled(value.Index(0), n)
		filled(value.Index(1), n)
	case reflect.Int64:
		value.SetInt(int64(*n))
	case reflect.String:
		value.SetString(strings.Repeat("é\"\\\n", *n))
	default:
		panic(value.Kind())
	}
}

// TestScanReadsEveryField: what a scan reads is what a decoder reads.
func TestScanReadsEveryField(t *testing.T) {
	g := NewWithT(t)
	var head Head
	n := 0
	filled(reflect.ValueOf(&head).Elem(), &n)
	spec, err := json.Marshal(&head)
	g.Expect(err).NotTo(HaveOccurred())
	spec = append([]byte(`{"note":"]}\\\"","changes":[{"value":{"id":"no"}},[]],"nothing":null,`), spec[1:]...)
	var scanned Head
	s := apijson.Scan{Data: spec}
	scanned.scan(&s)
	g.Expect(s.Err).NotTo(HaveOccurred())
	var decoded Head
	g.Expect(json.Unmarshal(spec, &decoded)).To(Succeed())
	g.Expect(scanned).To(Equal(decoded))
	g.Expect(scanned.Resource).To(Equal(head.Resource))

	wire := &Wire{spec: spec, Version: "7"}
	from, err := wire.Origin()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(from).To(Equal(Origin{types.UID(head.TrailRef.UID), head.Resource.UID, head.Resource.ResourceVersion}))
}

func TestReadEvent(t *testing.T) {
	g := NewWithT(t)
	object := []byte(`{ "kind":"AuditEvent", "metadata" : {"uid":"u","name":"n","namespace":"s","resourceVersion":"12",
		"annotations":{"audit.trailkeeper.dev/kept-locally":"8","audit.trailkeeper.dev/note":"because"},
		"managedFields":[{"fieldsV1":{"f:metadata":{"f:name":{}}}}]},
		"spec":{"trailRef":{"uid":"t"}}, "status":{"outcome":"Unknown","message":"m","recordedResourceVersion":"9"}}`)
	wire, err := ReadWire(object)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*wire).To(Equal(Wire{Name: "n", namespace: "s", UID: "u", Version: "12", late: true, Noted: true, after: "8",
		Object: object,
		spec:   []byte(`{"trailRef":{"uid":"t"}}`),
		status: v1alpha1.AuditEventStatus{Outcome: "Unknown", Message: "m", RecordedResourceVersion: "9"}}))
	g.Expect(wire.RecordedAt()).To(BeEquivalentTo(9))
}

// TestScanFails: on what is no JSON, wherever it is cut off.
func TestScanFails(t *testing.T) {
	g := NewWithT(t)
	whole := `{"id":"a","actor":{"type":"User"},"evidence":[{"path":"/a\\"}],"level":[1,true]}`
	for n := range len(whole) {
		s := apijson.Scan{Data: []byte(whole[:n])}
		new(Head).scan(&s)
		g.Expect(s.Err).To(MatchError(apijson.ErrNotJSON), whole[:n])
	}
}

// FuzzScan: a scan ends, stays within its data, and reads of JSON what a decoder reads.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"id":"a\u00e9","time":"2026-01-02T03:04:05.000006Z","resource":{"uid":"u","deletionTime":null},"evidence":[{"was":"w"}]}`))
	f.Add([]byte(`{"trailRef":{"uid":"t"},"actor":null,"changes":[{"value":"\\\""}]}`))
	f.Fuzz(func(t *testing.T, spec []byte) {
		var scanned, decoded Head
		s := apijson.Scan{Data: spec}
		scanned.scan(&s)
		if json.Unmarshal(spec, &decoded) != nil || s.Err != nil {
			return // The scan is more lenient, and knows fewer forms of a time.
		}
		if !reflect.DeepEqual(scanned, decoded) {
			t.Errorf("%s\nscanned %+v\ndecoded %+v", spec, scanned, decoded)
		}
	})
}
