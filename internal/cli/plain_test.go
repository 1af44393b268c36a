package cli

import (
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"nginx:1.29":           "nginx:1.29",
		"Zoë 日本 👍":             "Zoë 日本 👍",
		"a\x1b[31mb":           `a\x1b[31mb`,
		"a\r\nb\tc":            `a\x0d\nb\tc`,
		"\u009b31m":            `\u009b31m`,
		"abc\u202egpj":         `abc\u202egpj`,
		"zero\u200bwidth":      `zero\u200bwidth`,
		"line\u2028end":        `line\u2028end`,
		"tag\U000e0041":        `tag\U000e0041`,
		"bad\xff\xfe utf-8":    `bad\xff\xfe utf-8`,
		"a real \ufffd":        "a real \ufffd",
		"no-break\u00a0space":  `no-break\u00a0space`,
		"delete\x7f and \x00.": `delete\x7f and \x00.`,
	} {
		NewWithT(t).Expect(plain(text)).To(Equal(want), "%q", text)
	}
}

// FuzzPlain: a terminal gets nothing but what it prints, and what is harmless stays as it is.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"", "abc", "\x1b]0;x\x07", "\u202e", "\xc3", "日本", "\U0010ffff", "\u2066a\u2069"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g := NewWithT(t)
		got := plain(text)
		for _, r := range got {
			g.Expect(unicode.IsPrint(r)).To(BeTrue(), "%q of %q", r, text)
		}
		if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) && strings.ToValidUTF8(text, "?") == text {
			g.Expect(got).To(Equal(text))
		}
	})
}
