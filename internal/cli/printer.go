package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/csv"
)

// printer writes events one by one, in constant memory.
type printer interface {
	// row takes the next event.
	row(row *query.Row) error
	// flush shows what was taken so far; the last call ends the output.
	flush() error
}

// printer is what writes a format. Endless output has no closing bracket.
func (s *session) printer(format string, endless bool) (printer, error) {
	format, err := oneOf("--output", format, eventFormats)
	if err != nil {
		return nil, err
	}
	switch format {
	case "json":
		if endless {
			return &jsonLines{s.records()}, nil
		}
		return &jsonList{out: s.records()}, nil
	case "yaml":
		return &yamlDocuments{s.records()}, nil
	case "csv":
		return &csvRows{writer: csv.NewWriter(s.records())}, nil
	default:
		return &table{session: s, wide: format == "wide"}, nil
	}
}

// shown is an event with what is known beside it.
type shown struct {
	*v1alpha1.AuditEvent
	// Outcome is there also when it is Persisted, which is not written to AuditEvents.
	Outcome v1alpha1.Outcome `json:"outcome,omitempty"`
	Source  query.Source     `json:"source"`
}

func shownOf(row *query.Row) shown {
	event := row.Event.DeepCopy()
	event.APIVersion, event.Kind = v1alpha1.GroupVersion.String(), "AuditEvent"
	event.ManagedFields = nil // Who wrote which field of the record is only ever the operator.
	return shown{event, row.Outcome, row.Source}
}

// jsonList is one object, as kubectl writes lists.
type jsonList struct {
	out  io.Writer
	open bool
}

func (l *jsonList) begin() error {
	if l.open {
		_, err := io.WriteString(l.out, ",\n")
		return err
	}
	l.open = true
	_, err := fmt.Fprintf(l.out, `{"apiVersion":%q,"kind":"AuditEventList","items":[`+"\n", v1alpha1.GroupVersion.String())
	return err
}

func (l *jsonList) row(row *query.Row) error {
	if err := l.begin(); err != nil {
		return err
	}
	encoded, err := json.MarshalIndent(shownOf(row), "  ", "  ")
	if err != nil {
		return fmt.Errorf("encoding event %s: %w", row.Event.Name, err)
	}
	_, err = fmt.Fprintf(l.out, "  %s", encoded)
	return err
}

func (l *jsonList) flush() error {
	if !l.open {
		_, err := fmt.Fprintf(l.out, `{"apiVersion":%q,"kind":"AuditEventList","items":[]}`+"\n", v1alpha1.GroupVersion.String())
		return err
	}
	_, err := io.WriteString(l.out, "\n]}\n")
	return err
}

// jsonLines is an object a line.
type jsonLines struct{ out io.Writer }

func (l *jsonLines) row(row *query.Row) error {
	return json.NewEncoder(l.out).Encode(shownOf(row))
}

func (*jsonLines) flush() error { return nil }

// yamlDocuments is a document for each event.
type yamlDocuments struct{ out io.Writer }

func (d *yamlDocuments) row(row *query.Row) error {
	encoded, err := yaml.Marshal(shownOf(row))
	if err != nil {
		return fmt.Errorf("encoding event %s: %w", row.Event.Name, err)
	}
	_, err = fmt.Fprintf(d.out, "---\n%s", encoded)
	return err
}

func (*yamlDocuments) flush() error { return nil }

// csvRows is a header and a line for each event.
type csvRows struct {
	writer *csv.Writer
	titled bool
}

func (c *csvRows) title() error {
	if c.titled {
		return nil
	}
	c.titled = true
	return c.writer.Header()
}

func (c *csvRows) row(row *query.Row) error {
	if err := c.title(); err != nil {
		return err
	}
	return c.writer.Write(row)
}

func (c *csvRows) flush() error {
	if err := c.title(); err != nil {
		return err
	}
	return c.writer.Flush()
}
