package audit

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
)

func TestLookUp(t *testing.T) {
	const document = `{"a":{"b/c":1,"d~e":[10,{"f":"x"},null],"":"empty"},"s":"text","big":12345678901234567890,"n":null}`
	tests := map[string]any{
		"/a/b~1c":   json.Number("1"),
		"/a/d~0e/0": json.Number("10"),
		"/a/d~0e/1": map[string]any{"f": "x"},
		"/a/d~0e/2": nil,
		"/a/d~0e/3": absent{},
		"/a/d~0e/x": absent{},
		"/a/":       "empty",
		"/s":        "text",
		"/s/deeper": absent{},
		"/big":      json.Number("12345678901234567890"),
		"/n":        nil,
		"/n/deeper": absent{},
		"/missing":  absent{},
	}
	for pointer, want := range tests {
		t.Run(pointer, func(t *testing.T) {
			g := NewWithT(t)
			got, err := lookUp([]byte(document), pointer)
			g.Expect(err).NotTo(HaveOccurred())
			if want == nil {
				g.Expect(got).To(BeNil())
			} else {
				g.Expect(got).To(Equal(want))
			}
		})
	}
}

func TestLookUpFailsOnWhatIsNotJSON(t *testing.T) {
	g := NewWithT(t)
	for _, document := range []string{"nonsense", "{", `{"a"`, `{"a":`, `{"a":[1,`, `{"b":1`} {
		_, err := lookUp([]byte(document), "/a/1")
		g.Expect(err).To(HaveOccurred(), document)
	}
	got, err := lookUp(nil, "/a")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got).To(Equal(absent{}), "there is no object")
}
