package ledger

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	. "github.com/onsi/gomega"
)

func TestIsCanonical(t *testing.T) {
	for value, want := range map[string]bool{
		`{}`: true, `[]`: true, `""`: true, `0`: true, `-7`: true, `null`: true, `true`: true, `false`: true,
		`{"a":[1,{"b":"c\n\"\\"}],"aa":"é€😀","b":{"A":null,"a":false}}`: true,
		`123456789012345678901234567890`:                                true,
		// Left to canonicalize, or no JSON.
		`{"b":1,"a":2}`: false, `{"a":1,"a":2}`: false, `{"a": 1}`: false, ` {}`: false, `{} `: false, `1.0`: false, `1e3`: false, `-0`: false,
		`01`: false, `-`: false, `"\u0041"`: false, `"\/"`: false, "\"\n\"": false, "\"\xff\"": false, `{"é":1}`: false, `{"a\n":1}`: false,
		`{"a":1,}`: false, `[1,]`: false, `{"a"}`: false, `[1 2]`: false, `nul`: false, ``: false, `"a`: false, `"\`: false, `{"a":1`: false, `[`: false,
		`{}{}`: false, `1,`: false, `{1:2}`: false,
	} {
		t.Run(value, func(t *testing.T) {
			NewWithT(t).Expect(isCanonical([]byte(value))).To(Equal(want))
		})
	}
	deep := bytes.Repeat([]byte("["), 10*maxDepth)
	NewWithT(t).Expect(isCanonical(append(deep, bytes.Repeat([]byte("]"), 10*maxDepth)...))).To(BeFalse())
}

// FuzzIsCanonical: what is taken for canonical is what canonicalize makes of it, byte by byte.
func FuzzIsCanonical(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c\n\"\\"}],"aa":"é€😀","b":{"A":null,"a":false}}`))
	f.Add([]byte(`{"B":-1,"a":1234567890123456789,"b":""}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		if !isCanonical(value) {
			return
		}
		made := jsontext.Value(bytes.Clone(value))
		if err := canonicalize(&made); err != nil || !bytes.Equal(made, value) {
			t.Errorf("%q is made %q: %v", value, made, err)
		}
	})
}

// TestARecordIsTheSameEitherWay: how a spec is written makes no difference to its record.
func TestARecordIsTheSameEitherWay(t *testing.T) {
	g := NewWithT(t)
	event := Event{Name: "n", Namespace: "s", ID: "i", Spec: []byte(`{"a":"<b>é","c":{"d":[1,"\n"]}}`)}
	written := event
	written.Spec = []byte(` {"c":{ "d":[1,"\u000a"]},"a":"\u003cb\u003e\u00e9"} `)
	head := Genesis("t")
	record, next, err := head.Record(event, Judgement{Outcome: "Persisted"})
	g.Expect(err).NotTo(HaveOccurred())
	other, otherNext, err := head.Record(written, Judgement{Outcome: "Persisted"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(other)).To(Equal(string(record)))
	g.Expect(otherNext).To(Equal(next))
	event.Spec = []byte(`{"a":1`)
	_, _, err = head.Record(event, Judgement{})
	g.Expect(err).To(HaveOccurred())
}
