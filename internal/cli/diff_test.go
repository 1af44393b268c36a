package cli

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestCompareLines(t *testing.T) {
	for name, test := range map[string]struct{ before, after, want string }{
		"added":             {"", "a", "+a"},
		"removed":           {"a b", "", "-a -b"},
		"replaced":          {"a", "b", "-a +b"},
		"in the middle":     {"1 2 3 4 5 6 7", "1 2 3 x 5 6 7", "…1 2 3 -4 +x 5 6 …1"},
		"at the beginning":  {"1 2 3 4", "x 2 3 4", "-1 +x 2 3 …1"},
		"at the end":        {"1 2 3 4", "1 2 3 x", "…1 2 3 -4 +x"},
		"appended":          {"1 2", "1 2 3", "1 2 +3"},
		"repeated":          {"a a", "a a a", "a a +a"},
		"nothing is equal":  {"1 2", "3 4", "-1 -2 +3 +4"},
		"nothing is before": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, line := range compareLines(strings.Fields(test.before), strings.Fields(test.after)) {
				if rest, ok := strings.CutPrefix(line.text, "… "); ok {
					got = append(got, "…"+strings.Fields(rest)[0])
					continue
				}
				got = append(got, strings.TrimSpace(line.sign)+line.text)
			}
			NewWithT(t).Expect(strings.Join(got, " ")).To(Equal(test.want))
		})
	}
}

func TestValueLinesTellTypesApart(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]string{}
	for _, value := range []string{`1`, `"1"`, `true`, `"true"`, `null`, `"null"`, `""`, `"a: 1"`, `{"a":1}`, `[]`, `{}`, `"x\n"`, `"x"`, `"x\n\n"`} {
		text := fmt.Sprintf("%q", valueLines(&runtime.RawExtension{Raw: []byte(value)}))
		g.Expect(seen).NotTo(HaveKey(text), "%s looks like %s", value, seen[text])
		seen[text] = value
	}
	g.Expect(valueLines(nil)).To(BeNil())
}
