package csv

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/describe"
)

// Columns are the header. New ones are added at the end; none is renamed, moved or removed.
func Columns() []string {
	return []string{
		"time", "action", "actor", "actor_type", "kind", "group", "namespace", "name", "subresource",
		"outcome", "note", "message", "changes", "trail_namespace", "trail", "source", "id", "event",
	}
}

// maxCell is the longest text that spreadsheets take, in characters, less what a cut one says.
const maxCell = 32_000

const cut = "… (cut)"

// Writer writes rows. It holds one buffer of some kilobytes, whatever is written.
type Writer struct {
	out    *csv.Writer
	record []string
}

// NewWriter makes a Writer. Lines end with CRLF, as RFC 4180 says.
func NewWriter(out io.Writer) *Writer {
	w := &Writer{out: csv.NewWriter(out), record: make([]string, 0, len(Columns()))}
	w.out.UseCRLF = true
	return w
}

// Header writes the names of the columns.
func (w *Writer) Header() error { return w.out.Write(Columns()) }

// Write writes a row. It fails when the row's changes are not JSON, and may fail for rows before it that could not be written.
func (w *Writer) Write(row *query.Row) error {
	spec := &row.Event.Spec
	changes, err := changesOf(spec.Changes)
	if err != nil {
		return fmt.Errorf("writing the changes of event %s: %w", row.Event.Name, err)
	}
	w.record = append(w.record[:0],
		spec.Time.UTC().Format(time.RFC3339Nano), string(spec.Action), spec.Actor.Username, string(spec.Actor.Type),
		spec.Resource.Kind, spec.Resource.Group, spec.Resource.Namespace, spec.Resource.Name, spec.Resource.Subresource,
		string(row.Outcome), describe.Note(row.Event), describe.Action(row.Event), changes,
		spec.TrailRef.Namespace, spec.TrailRef.Name, string(row.Source), spec.ID, row.Event.Name,
	)
	for i, text := range w.record {
		w.record[i] = neutral(clip(text))
	}
	return w.out.Write(w.record)
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	w.out.Flush()
	return w.out.Error()
}

// changesOf is JSON, as in the event.
func changesOf(changes []v1alpha1.Change) (string, error) {
	if len(changes) == 0 {
		return "", nil
	}
	encoded, err := json.Marshal(changes)
	return string(encoded), err
}

// clip makes text valid UTF-8 without NUL, and no longer than a cell may be.
func clip(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	if strings.ContainsRune(text, 0) {
		text = strings.ReplaceAll(text, "\x00", "\ufffd")
	}
	if len(text) <= maxCell {
		return text
	}
	count := 0
	for i := range text {
		if count == maxCell {
			return text[:i] + cut
		}
		count++
	}
	return text
}
