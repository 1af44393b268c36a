package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/csv"
)

const (
	// exportTimeout is how long a reader of an export may take for flushRows rows.
	exportTimeout = time.Minute
	flushRows     = 500
)

// errUnfinished says that an export broke off after its first bytes.
var errUnfinished = errors.New("the export is not complete")

// export answers GET /v1/audits.csv, oldest first. Without limit it has everything. A page of the API server is the most that it
// holds in memory.
func (s *server) export(ctx context.Context, c *call) error {
	p, problem := parse(c.Request, false)
	if problem != nil {
		return problem
	}
	question, err := s.question(ctx, c, p)
	if err != nil {
		return err
	}
	rows := question.Rows(ctx)
	if c.URL.Query().Get("limit") != "" || p.cursor != nil || p.offset > 0 {
		page, err := question.Page(ctx, p.cursor, p.offset, p.limit)
		if err != nil {
			return err
		}
		rows = rowsOf(page.Rows)
	}
	return s.stream(c.w, rows)
}

func rowsOf(rows []*query.Row) query.Rows {
	return func(yield func(*query.Row, error) bool) {
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// stream writes the header with the first row, so that an error that comes before it has a status of its own.
func (s *server) stream(w http.ResponseWriter, rows query.Rows) error {
	control, writer, written := http.NewResponseController(w), csv.NewWriter(w), 0
	begin := func() error {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w.Header().Set("Content-Disposition", `attachment; filename="audits.csv"`)
		return errors.Join(control.SetWriteDeadline(time.Now().Add(exportTimeout)), writer.Header())
	}
	for row, err := range rows {
		if err != nil && written == 0 {
			return err
		}
		if err == nil && written == 0 {
			err = begin()
		}
		if err == nil {
			err = writer.Write(row)
		}
		written++
		if err == nil && written%flushRows == 0 {
			err = errors.Join(writer.Flush(), control.SetWriteDeadline(time.Now().Add(exportTimeout)))
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUnfinished, err)
		}
	}
	if written == 0 {
		if err := begin(); err != nil {
			return fmt.Errorf("%w: %w", errUnfinished, err)
		}
	}
	if err := writer.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errUnfinished, err)
	}
	return nil
}
