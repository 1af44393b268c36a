package cloudsim

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestGlob(t *testing.T) {
	cases := []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a*", "a", true},
		{"a*c", "abc", true},
		{"a*c", "ab", false},
		{"*ab", "aab", true},
		{"a*b*c", "a-b-b-c", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"a**", "a", true},
		{"abc", "abcd", false},
		{"a.c", "abc", false},
	}
	for _, test := range cases {
		t.Run(test.pattern+" "+test.text, func(t *testing.T) {
			NewWithT(t).Expect(glob(test.pattern, test.text)).To(Equal(test.want))
		})
	}
}

func TestParsePolicy(t *testing.T) {
	one := Policy{{Actions: []string{"logs:*"}, Resources: []string{"*"}}}
	cases := map[string]struct {
		document string
		want     Policy // nil when it is refused
	}{
		"lists":  {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:*"],"Resource":["*"]}]}`, one},
		"single": {`{"Statement":{"Sid":"A","Effect":"Allow","Action":"logs:*","Resource":"*"}}`, one},
		"deny": {`{"Statement":{"Effect":"Deny","Action":"a","Resource":"b"}}`,
			Policy{{Deny: true, Actions: []string{"a"}, Resources: []string{"b"}}}},
		"not JSON":     {`{`, nil},
		"no statement": {`{"Version":"2012-10-17"}`, nil},
		"no effect":    {`{"Statement":{"Action":"a","Resource":"b"}}`, nil},
		"no resource":  {`{"Statement":{"Effect":"Allow","Action":"a"}}`, nil},
		"no action":    {`{"Statement":{"Effect":"Allow","Resource":"a"}}`, nil},
		"NotAction":    {`{"Statement":{"Effect":"Allow","NotAction":"a","Resource":"b"}}`, nil},
		"Condition":    {`{"Statement":[{"Effect":"Allow","Action":"a","Resource":"b","Condition":{}}]}`, nil},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			policy, err := ParsePolicy(test.document)
			g.Expect(policy).To(Equal(test.want))
			g.Expect(err == nil).To(Equal(test.want != nil), "%v", err)
		})
	}
}
