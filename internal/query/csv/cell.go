package csv

import "strings"

// triggers are what makes a spreadsheet take a cell for a formula, at its beginning. White space before it does not help: some
// programs skip it, and a tab or a carriage return is a trigger itself. The last four are the full-width forms.
const triggers = "=+-@\t\r\n|%＝＋－＠"

// neutral is a cell's text as no spreadsheet runs it: with an apostrophe before it, which they show as text. A cell that begins
// with an apostrophe of its own gets another one, so that Text undoes it.
func neutral(text string) string {
	if text == "" {
		return ""
	}
	if text[0] == '\'' || startsFormula(text) {
		return "'" + text
	}
	return text
}

func startsFormula(text string) bool {
	rest := strings.TrimLeft(text, " \u00a0\ufeff\v\f\x00")
	for _, first := range rest {
		return strings.ContainsRune(triggers, first)
	}
	return false
}

// Text is what was written into a cell.
func Text(cell string) string { return strings.TrimPrefix(cell, "'") }
