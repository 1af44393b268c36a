package cloudsim

import "strings"

// pattern is an unstructured filter pattern: terms that must all occur, of which one must, and that must not.
type pattern struct{ all, any, none []string }

// parsePattern reads terms, "quoted phrases", ?optional and -excluded ones. JSON and column patterns are refused.
func parsePattern(text string) (pattern, error) {
	var p pattern
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") || strings.HasPrefix(text, "%") {
		return p, errParameter("The simulator knows filter patterns of terms only, not those in braces, brackets or percent signs")
	}
	for text != "" {
		into := &p.all
		switch text[0] {
		case '?':
			into, text = &p.any, text[1:]
		case '-':
			into, text = &p.none, text[1:]
		}
		var term string
		if quoted, ok := strings.CutPrefix(text, `"`); ok {
			if term, text, ok = strings.Cut(quoted, `"`); !ok {
				return p, errParameter("Invalid filter pattern: a quote is not closed")
			}
		} else {
			term, text, _ = strings.Cut(text, " ")
		}
		*into = append(*into, term)
		text = strings.TrimSpace(text)
	}
	return p, nil
}

func (p pattern) matches(message string) bool {
	has := func(term string) bool { return strings.Contains(message, term) }
	for _, term := range p.all {
		if !has(term) {
			return false
		}
	}
	for _, term := range p.none {
		if has(term) {
			return false
		}
	}
	for _, term := range p.any {
		if has(term) {
			return true
		}
	}
	return len(p.any) == 0
}
