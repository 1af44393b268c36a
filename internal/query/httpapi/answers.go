package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/describe"
	"github.com/trailkeeper/trailkeeper/internal/query/note"
)

// page answers the parameters of a list, newest first unless it says otherwise.
func (s *server) page(ctx context.Context, c *call) (*parameters, *answeredPage, error) {
	p, problem := parse(c.Request, true)
	if problem != nil {
		return nil, nil, problem
	}
	question, err := s.question(ctx, c, p)
	if err != nil {
		return nil, nil, err
	}
	page, err := question.Page(ctx, p.cursor, p.offset, p.limit)
	return p, &answeredPage{page, question.completeSince(ctx)}, err
}

// answeredPage is a page, and from when on it is complete, if not from where it was to begin.
type answeredPage struct {
	query.Page
	completeSince time.Time
}

// listAudits answers GET /v1/audits.
func (s *server) listAudits(ctx context.Context, c *call) error {
	p, page, err := s.page(ctx, c)
	if err != nil {
		return err
	}
	before := p.offset
	if p.cursor != nil {
		before = p.cursor.Count
	}
	list := auditList{Items: make([]auditItem, 0, len(page.Rows)), ListMeta: listMeta{
		Limit: p.limit, Offset: before + len(page.Rows), CompleteSince: page.completeSince,
	}}
	list.ListMeta.Count = list.ListMeta.Offset
	for _, row := range page.Rows {
		list.Items = append(list.Items, itemOf(row))
	}
	if page.Next != nil {
		list.ListMeta.Continue = page.Next.String()
		list.ListMeta.Count++
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

// listEvents answers GET /v1alpha1/events.
func (s *server) listEvents(ctx context.Context, c *call) error {
	_, page, err := s.page(ctx, c)
	if err != nil {
		return err
	}
	list := eventList{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEventList", Items: make([]eventItem, 0, len(page.Rows))}
	for _, row := range page.Rows {
		list.Items = append(list.Items, eventOf(row))
	}
	list.Metadata.CompleteSince = page.completeSince
	if page.Next != nil {
		list.Metadata.Continue = page.Next.String()
	}
	writeJSON(c.w, http.StatusOK, list)
	return nil
}

// getAudit answers GET /v1/audits/{uid}.
func (s *server) getAudit(ctx context.Context, c *call) error {
	row, err := s.find(ctx, c)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, itemOf(row))
	return nil
}

// getMessages answers GET /v1/audits/{uid}/sysMsg.
func (s *server) getMessages(ctx context.Context, c *call) error {
	row, err := s.find(ctx, c)
	if err != nil {
		return err
	}
	writeJSON(c.w, http.StatusOK, auditMessages{ActionMsg: describe.Action(row.Event), ContentMsg: describe.Content(row.Event)})
	return nil
}

// putNote answers PATCH /v1/audits/{uid}/userMsg: the note that is given afterwards, written with the caller's own rights.
func (s *server) putNote(ctx context.Context, c *call) error {
	patch, problem := noteOf(c)
	if problem != nil {
		return problem
	}
	row, err := s.find(ctx, c)
	if err != nil {
		return err
	}
	switch row.Source {
	case query.SourceBacklog:
		return &problemNotYet
	case query.SourceLogGroup:
		return &problemTooLate
	case query.SourceCluster:
	}
	if err := c.client.Patch(ctx, row.Event.DeepCopy(), patch); err != nil {
		return fmt.Errorf("writing the note of event %s: %w", row.Event.Name, err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

var problemNotYet = problem{
	status: http.StatusConflict, Code: "Packed", retryAfter: 60,
	Message: "The event waits for its destination, packed with others, and can take no note there",
}

var problemTooLate = problem{
	status: http.StatusConflict, Code: "Archived",
	Message: "The event is in CloudWatch Logs only, where nothing is changed: it can take a note as long as the cluster has it",
}

func noteOf(c *call) (client.Patch, *problem) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxNoteBody))
	if err != nil {
		return nil, invalid("The body must be {\"userMsg\": \"...\"}, of at most %d bytes", maxNoteBody)
	}
	var asked auditNote
	if json.Unmarshal(body, &asked) != nil || asked.UserMsg == nil {
		return nil, invalid("The body must be {\"userMsg\": \"...\"}")
	}
	patch, err := note.Patch(*asked.UserMsg)
	if err != nil {
		return nil, invalid("userMsg: %v", err)
	}
	return patch, nil
}
