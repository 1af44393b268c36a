package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/wI2L/jsondiff"
)

// jsonCases are values in which decoders and encoders differ.
var jsonCases = []string{
	`null`, `true`, `false`, `0`, `-1.50e+3`, `123456789012345678901234567890`, `"plain"`, `""`, `[]`, `{}`,
	`"<a href='x'>&amp;</a>"`, `"line\nfeed\ttab\b\f\r\u0000\u001f\u007f"`, `"quote \" and \\ and \/"`,
	`"grün 漢字 😀 \ud83d\ude00"`, `"\u2028 and \u2029"`, `"lone \ud800 surrogate"`, "\"invalid \xff byte\"", "\"key \xff\"",
	`{"b":1,"a":{"z":[1,2,{"y":null}],"<":true}}`, `{"a":1,"a":2}`, "{\"\xff\":1}", ` [ 1 , "two" , [ 3 ] ] `,
}

// decodedByLibrary is what decodeValue has to be equal to.
func decodedByLibrary(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var decoded any
	err := decoder.Decode(&decoded)
	return decoded, err
}

func FuzzJSON(f *testing.F) {
	for _, seed := range jsonCases {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		g := NewWithT(t)
		want, err := decodedByLibrary(raw)
		g.Expect(err).NotTo(HaveOccurred())
		got, err := decodeValue(raw)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(reflect.DeepEqual(got, want)).To(BeTrue(), "got %#v, want %#v", got, want)

		encoded, err := json.Marshal(want)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(appendValue(nil, got, false))).To(Equal(string(encoded)))
	})
}

// FuzzDiff: the differences are the library's.
func FuzzDiff(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":1,"b":{"c":[1,2],"d":{}},"e":null}`, `{"a":1,"b":{"c":[1,3,4],"d":{"f":1}}}`},
		{`{"a":{},"b":{"c":{}}}`, `{"a":{},"b":{"c":{"d":{}}},"e":{}}`},
		{`{"a":{"b":1}}`, `{"a":[1]}`}, {`{"a":1}`, `{"a":"1"}`}, {`{"a":1}`, `{"a":1.0}`}, {`{"a":null}`, `{}`}, {`{}`, `{"a":null}`},
		{`{"a/b":{"~":1},"x":[{"y":1}]}`, `{"a/b":{"~":2},"x":[{"y":2}]}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, rawBefore, rawAfter []byte) {
		if !json.Valid(rawBefore) || !json.Valid(rawAfter) {
			return
		}
		before, err := decode(rawBefore)
		after, otherErr := decode(rawAfter)
		if err != nil || otherErr != nil || before == nil || after == nil {
			return
		}
		g := NewWithT(t)
		want, err := jsondiff.CompareWithoutMarshal(before, after)
		g.Expect(err).NotTo(HaveOccurred())
		got := diff(before, after)
		g.Expect(got).To(HaveLen(len(want)))
		for i := range got {
			g.Expect(change(&got[i])).To(Equal(change(&want[i])))
		}
	})
}

func TestDecodeRefusesWhatIsNoObject(t *testing.T) {
	for raw, valid := range map[string]bool{
		``: true, `null`: true, "\tnull\n": true, `{}`: true, `{"a":[{}]}`: true,
		`[]`: false, `"text"`: false, `1`: false, `{`: false, `{"a"}`: false, `{"a":1,}`: false, `{"a":[1}`: false, `nul`: false,
	} {
		_, err := decode([]byte(raw))
		NewWithT(t).Expect(err == nil).To(Equal(valid), "%s: %v", raw, err)
	}
}
