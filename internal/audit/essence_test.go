package audit

import (
	"testing"

	. "github.com/onsi/gomega"
)

// TestAnEmptyListIsStoredAsNone: what the API server's own types keep of it is null, or nothing.
func TestAnEmptyListIsStoredAsNone(t *testing.T) {
	digester := NewDigester([]byte("key"))
	for name, test := range map[string]struct {
		before, after, stored string
		want                  Sighting
	}{
		"null":                        {`{"rules":[1]}`, `{"rules":[]}`, `{"rules":null}`, SawAfter},
		"left out":                    {`{"rules":[1]}`, `{"rules":[]}`, `{}`, SawAfter},
		"as it was":                   {`{"rules":[1]}`, `{"rules":[]}`, `{"rules":[1]}`, SawBefore},
		"from null":                   {`{"rules":null}`, `{"rules":[1]}`, `{"rules":[1]}`, SawAfter},
		"from null, refused":          {`{"rules":null}`, `{"rules":[1]}`, `{}`, SawBefore},
		"inside another value":        {`{}`, `{"a":[{"b":[],"c":null,"d":1}]}`, `{"a":[{"d":1}]}`, SawAfter},
		"a place in a list":           {`{}`, `{"a":[[],1]}`, `{"a":[null,1]}`, SawAfter},
		"an empty object is one":      {`{}`, `{"emptyDir":{}}`, `{}`, SawBefore},
		"a resource that keeps it":    {`{}`, `{"a":[]}`, `{"a":[]}`, SawAfter},
		"a resource, where it is not": {`{}`, `{"a":[]}`, `{}`, SawNeither},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			evidence, err := Retrace(digester, []byte(test.before), []byte(test.after))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(evidence).NotTo(BeEmpty())
			g.Expect(Sight(digester, evidence, []byte(test.stored))).To(Equal(test.want))
		})
	}
}
