package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteMarkdown writes two tables: the metrics with their targets, and the raw measurements.
func (r *Report) WriteMarkdown(w io.Writer) error {
	metrics := table{{"metric", "value", "unit", "target", "verdict"}}
	for _, metric := range r.Metrics {
		metrics = append(metrics, []string{
			metric.Name, orNone(number(metric.Value)), metric.Unit, metric.Target.String(), verdict(metric),
		})
	}
	rows := table{{"measured", "load", "p50 ms", "p99 ms", "per second", "remark"}}
	for _, row := range r.Rows {
		rows = append(rows, []string{
			row.What, row.Load, number(row.P50), number(row.P99), number(row.PerSecond), row.Remark,
		})
	}
	_, err := fmt.Fprintf(w, "%s\n%s", metrics, rows)
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

func verdict(metric Metric) string {
	switch {
	case metric.Target == Target{}:
		return ""
	case metric.Target.met(metric.Value):
		return "met"
	default:
		return "MISSED"
	}
}

func orNone(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

// table is the rows of a Markdown table, its head first.
type table [][]string

// String pads the columns, so that the table can be read as plain text too.
func (t table) String() string {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for i, row := range t {
		for j, cell := range row {
			text.WriteString("| " + cell + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+1))
		}
		text.WriteString("|\n")
		if i == 0 {
			for _, width := range widths {
				text.WriteString("| " + strings.Repeat("-", width) + " ")
			}
			text.WriteString("|\n")
		}
	}
	return text.String()
}
