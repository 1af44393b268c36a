package delivery

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
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
	s := scan{data: spec}
	scanned.scan(&s)
	g.Expect(s.err).NotTo(HaveOccurred())
	var decoded Head
	g.Expect(json.Unmarshal(spec, &decoded)).To(Succeed())
	g.Expect(scanned).To(Equal(decoded))
	g.Expect(scanned.Resource).To(Equal(head.Resource))

	wire := &wireEvent{spec: spec, version: "7"}
	from, err := wire.origin()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(from).To(Equal(origin{types.UID(head.TrailRef.UID), head.Resource.UID, head.Resource.ResourceVersion}))
}

func TestReadEvent(t *testing.T) {
	g := NewWithT(t)
	object := []byte(`{ "kind":"AuditEvent", "metadata" : {"uid":"u","name":"n","namespace":"s","resourceVersion":"12",
		"annotations":{"audit.trailkeeper.dev/kept-locally":"8","audit.trailkeeper.dev/note":"because"},
		"managedFields":[{"fieldsV1":{"f:metadata":{"f:name":{}}}}]},
		"spec":{"trailRef":{"uid":"t"}}, "status":{"outcome":"Unknown","message":"m","recordedResourceVersion":"9"}}`)
	wire, err := readEvent(object)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*wire).To(Equal(wireEvent{name: "n", namespace: "s", uid: "u", version: "12", late: true, noted: true, after: "8",
		object: object,
		spec:   []byte(`{"trailRef":{"uid":"t"}}`),
		status: v1alpha1.AuditEventStatus{Outcome: "Unknown", Message: "m", RecordedResourceVersion: "9"}}))
	g.Expect(wire.recordedAt()).To(BeEquivalentTo(9))
}

// TestAFrameInAnyOrder: nobody promises that the kind comes first.
func TestAFrameInAnyOrder(t *testing.T) {
	g := NewWithT(t)
	for _, frame := range []string{
		`{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"},"status":{}}}`,
		`{"object":{"status":{},"metadata":{"resourceVersion":"5"}},"type":"ADDED"}`,
	} {
		var seen uint64
		g.Expect(next(newStream(strings.NewReader(frame)), func(version uint64, created *wireEvent) {
			g.Expect(created).NotTo(BeNil())
			seen = version
		})).To(Succeed())
		g.Expect(seen).To(BeEquivalentTo(5))
	}
	for _, frame := range []string{
		`{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}`,
		`{"object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410},"type":"ERROR"}`,
	} {
		g.Expect(next(newStream(strings.NewReader(frame)), nil)).To(MatchError(errExpired))
	}
}

func TestWordsShareMemory(t *testing.T) {
	g := NewWithT(t)
	read := func(quoted string) string {
		s := scan{data: []byte(quoted)}
		word := s.word()
		g.Expect(s.err).NotTo(HaveOccurred())
		return word
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range 10_000 { // More than there are places for.
				if word := strconv.Itoa(i); read(`"`+word+`"`) != word {
					t.Errorf("%s became another word.", word)
				}
			}
		})
	}
	readers.Wait()
	first, second := read(`"ConfigMap"`), read(`"ConfigMap"`)
	g.Expect(first).To(Equal("ConfigMap"))
	g.Expect(unsafe.StringData(second)).To(BeIdenticalTo(unsafe.StringData(first)))
	g.Expect(read(`"a\u0062\"c"`)).To(Equal(`ab"c`))
	g.Expect(read("null")).To(BeEmpty())
	long := strings.Repeat("x", maxWord)
	g.Expect(read(`"` + long + `"`)).To(Equal(long))
}

// TestScanFails: on what is no JSON, wherever it is cut off.
func TestScanFails(t *testing.T) {
	g := NewWithT(t)
	whole := `{"id":"a","actor":{"type":"User"},"evidence":[{"path":"/a\\"}],"level":[1,true]}`
	for n := range len(whole) {
		s := scan{data: []byte(whole[:n])}
		new(Head).scan(&s)
		g.Expect(s.err).To(MatchError(errNotJSON), whole[:n])
	}
}

// FuzzScan: a scan ends, stays within its data, and reads of JSON what a decoder reads.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"id":"a\u00e9","time":"2026-01-02T03:04:05.000006Z","resource":{"uid":"u","deletionTime":null},"evidence":[{"was":"w"}]}`))
	f.Add([]byte(`{"trailRef":{"uid":"t"},"actor":null,"changes":[{"value":"\\\""}]}`))
	f.Fuzz(func(t *testing.T, spec []byte) {
		var scanned, decoded Head
		s := scan{data: spec}
		scanned.scan(&s)
		if json.Unmarshal(spec, &decoded) != nil || s.err != nil {
			return // The scan is more lenient, and knows fewer forms of a time.
		}
		if !reflect.DeepEqual(scanned, decoded) {
			t.Errorf("%s\nscanned %+v\ndecoded %+v", spec, scanned, decoded)
		}
	})
}

// TestStream: values are found however they arrive.
func TestStream(t *testing.T) {
	list := `{"kind":"List","metadata":{"resourceVersion":"7","continue":"c"},"items":[{"a":"}\"]"} , {"b":[1,{"c":null}]},3 ,"x" ], "more":true}`
	for name, reader := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with the end": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var meta listMeta
			var items []string
			g.Expect(decodeList(newStream(reader(strings.NewReader(list))), &meta, func(item []byte) error {
				items = append(items, string(item))
				return nil
			})).To(Succeed())
			g.Expect(items).To(Equal([]string{`{"a":"}\"]"}`, `{"b":[1,{"c":null}]}`, "3", `"x"`}))
			g.Expect(meta).To(Equal(listMeta{ResourceVersion: "7", Continue: "c"}))
		})
	}
	for n := range len(list) {
		err := decodeList(newStream(strings.NewReader(list[:n])), &listMeta{}, func([]byte) error { return nil })
		NewWithT(t).Expect(err).To(HaveOccurred(), list[:n])
	}
}

// TestStreamIsBounded: a value that does not end takes no more memory than any may, and large ones are read whole.
func TestStreamIsBounded(t *testing.T) {
	g := NewWithT(t)
	large := `"` + strings.Repeat("x", 3*streamBuffer) + `"`
	values := newStream(strings.NewReader(large + large + "1"))
	for _, want := range []string{large, large, "1"} {
		value, err := values.value()
		if want == "1" {
			g.Expect(errors.Is(err, io.ErrUnexpectedEOF)).To(BeTrue(), "a number may go on")
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(value)).To(Equal(want))
	}
	_, err := newStream(io.MultiReader(strings.NewReader(`"`), endless{})).value()
	g.Expect(err).To(MatchError(errTooLarge))
}

// endless is a text without an end.
type endless struct{}

func (endless) Read(into []byte) (int, error) {
	return copy(into, bytes.Repeat([]byte("x"), len(into))), nil
}

func TestASightIsWithoutManagedFields(t *testing.T) {
	for object, want := range map[string]string{
		`{"metadata":{"name":"a","managedFields":[{"x":"]"}],"uid":"u"},"data":{"managedFields":"b"}}`: `{"metadata":{"name":"a","managedFields":null,"uid":"u"},"data":{"managedFields":"b"}}`,
		`{"data":{},"metadata":{"uid":"u","name":"a"}}`:                                                `{"data":{},"metadata":{"uid":"u","name":"a"}}`,
	} {
		g := NewWithT(t)
		seen, err := readSight([]byte(object), true)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(seen.body)).To(Equal(want))
		g.Expect(seen.meta).To(Equal(objectMeta{name: "a", UID: "u"}))
	}
	_, err := readSight([]byte(`{"metadata"`), true)
	NewWithT(t).Expect(err).To(MatchError(errNotJSON))
}
