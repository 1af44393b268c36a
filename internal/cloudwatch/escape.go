package cloudwatch

import "slices"

// escapes says for each byte how it stands in a JSON string: as it is, after a backslash, or as \u00XX.
var escapes = func() (table [256]uint8) {
	for b := range 0x20 {
		table[b] = asCode
	}
	table['"'], table['\\'] = afterBackslash, afterBackslash
	return table
}()

const (
	asItIs uint8 = iota
	afterBackslash
	asCode
)

// appendEscaped appends text, which is valid UTF-8, as the inside of a JSON string. A record is JSON and thus has a quote
// every few bytes: looking for the next one costs more than treating all bytes alike, without a branch.
func appendEscaped(dst, text []byte) []byte {
	for len(text) > 0 {
		n := len(dst)
		dst = slices.Grow(dst, 2*len(text))[:n+2*len(text)]
		out := dst[n:]
		at, i := 0, 0
		for ; i < len(text); i++ {
			b := text[i]
			how := escapes[b]
			if how == asCode {
				break
			}
			out[at] = '\\'
			at += int(how)
			out[at] = b
			at++
		}
		dst = dst[:n+at]
		if i < len(text) {
			dst = appendCode(dst, text[i])
			i++
		}
		text = text[i:]
	}
	return dst
}

// appendCode appends a control character. Canonical JSON has none, so this is for others' records.
func appendCode(dst []byte, b byte) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&0xf])
}
