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

// exportTimeout is how long a reader of an export may take for one write, of some kilobytes.
const exportTimeout = time.Minute

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
	limit := 0
	if c.URL.Query().Get("limit") != "" || p.cursor != nil || p.offset > 0 {
		limit = p.limit
	}
	return s.stream(ctx, c.w, question, question.Rows(ctx, p.cursor, p.offset, limit))
}

// stream writes the header with the first row, so that an error that comes before it has a status of its own.
// The oldest rows come first, so that by then it is known whether those are missing that only a log stream has.
func (s *server) stream(ctx context.Context, w http.ResponseWriter, question *question, rows query.Rows) error {
	patient := &patientWriter{w: w, control: http.NewResponseController(w)}
	if err := patient.control.SetWriteDeadline(time.Time{}); err != nil { // Finding the first row may take long.
		return fmt.Errorf("preparing an export: %w", err)
	}
	writer, begun := csv.NewWriter(patient), false
	begin := func() error {
		begun = true
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w.Header().Set("Content-Disposition", `attachment; filename="audits.csv"`)
		if since := question.completeSince(ctx); !since.IsZero() {
			w.Header().Set("Trailkeeper-Complete-Since", since.Format(time.RFC3339))
		}
		return writer.Header()
	}
	for row, err := range rows {
		if !begun {
			if err != nil {
				return err
			}
			err = begin()
		}
		if err == nil {
			err = writer.Write(row)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUnfinished, err)
		}
	}
	var err error
	if !begun {
		err = begin()
	}
	if err = errors.Join(err, writer.Flush()); err != nil {
		return fmt.Errorf("%w: %w", errUnfinished, err)
	}
	return nil
}

// patientWriter gives each write a deadline of its own.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(exportTimeout)); err != nil {
		return 0, fmt.Errorf("bounding a write: %w", err)
	}
	return p.w.Write(data)
}
