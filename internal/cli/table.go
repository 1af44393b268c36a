package cli

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// tablePage is how many rows are held back to find the columns' widths.
const tablePage = 500

// table is rows in columns. Widths are found page by page and only grow, so that an answer of any length needs one page of
// memory.
type table struct {
	*session
	wide   bool
	widths []int
	page   [][]cell
	titled bool
}

// cell is one field of a table, and how it looks.
type cell struct {
	text  string
	style style
}

var columns = []string{"TIME", "ACTOR", "ACTION", "OBJECT", "OUTCOME", "EVENT"}

var wideColumns = []string{"NOTE", "TRAIL", "SOURCE", "CHANGE"}

func (t *table) row(row *query.Row) error {
	spec := &row.Event.Spec
	cells := []cell{
		{moment(spec.Time.Time), faint},
		{cmp.Or(spec.Actor.Username, "("+string(spec.Actor.Type)+")"), ""},
		{actionText(spec), actionStyle(spec.Action)},
		{objectText(&spec.Resource), ""},
		{outcomeWord(row), outcomeStyle(row.Outcome)},
		{row.Event.Namespace + "/" + row.Event.Name, ""},
	}
	if t.wide {
		note := cmp.Or(row.Event.Annotations[v1alpha1.NoteAnnotation], spec.Note)
		cells = append(cells, cell{note, ""}, cell{spec.TrailRef.Namespace + "/" + spec.TrailRef.Name, ""},
			cell{string(row.Source), ""}, cell{spec.ID, ""})
	}
	for i := range cells {
		cells[i].text = cmp.Or(plain(cells[i].text), "-")
	}
	t.page = append(t.page, cells)
	if len(t.page) >= tablePage {
		return t.flush()
	}
	return nil
}

func actionText(spec *v1alpha1.AuditEventSpec) string {
	if spec.Notice != nil {
		return string(spec.Action) + ":" + string(spec.Notice.Reason)
	}
	return string(spec.Action)
}

func actionStyle(action v1alpha1.Action) style {
	switch action {
	case v1alpha1.ActionCreate:
		return green
	case v1alpha1.ActionDelete:
		return red
	case v1alpha1.ActionNotice:
		return yellow
	default:
		return ""
	}
}

// outcomeWord is the outcome; a dash where none applies, and a question mark as long as nobody has looked.
func outcomeWord(row *query.Row) string {
	switch {
	case row.Outcome != "":
		return string(row.Outcome)
	case row.Event.Spec.Action == v1alpha1.ActionConnect || row.Event.Spec.Action == v1alpha1.ActionNotice:
		return "-"
	default:
		return "?"
	}
}

func outcomeStyle(outcome v1alpha1.Outcome) style {
	switch outcome {
	case v1alpha1.OutcomeNotPersisted:
		return red
	case v1alpha1.OutcomeUnknown:
		return yellow
	default:
		return ""
	}
}

// flush shows the page.
func (t *table) flush() error {
	if !t.titled && len(t.page) > 0 {
		t.titled = true
		titles := columns
		if t.wide {
			titles = append(append([]string{}, columns...), wideColumns...)
		}
		title := make([]cell, len(titles))
		for i, text := range titles {
			title[i] = cell{text, bold}
		}
		t.page = append([][]cell{title}, t.page...)
	}
	for _, cells := range t.page {
		t.widen(cells)
	}
	var b strings.Builder
	for _, cells := range t.page {
		for i, each := range cells {
			b.WriteString(t.paint(each.style, each.text))
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(each.text)+2))
			}
		}
		b.WriteByte('\n')
	}
	t.page = t.page[:0]
	t.printf("%s", b.String())
	return nil
}

func (t *table) widen(cells []cell) {
	for len(t.widths) < len(cells) {
		t.widths = append(t.widths, 0)
	}
	for i, each := range cells {
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(each.text))
	}
}
