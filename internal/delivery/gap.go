package delivery

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// maxGapNames bounds the events that a gap names; the others are counted.
const maxGapNames = 8

// Gap is what a trail is told of records that its destination refused for good.
type Gap struct {
	Trail v1alpha1.TrailReference
	// At is when the first of the events was recorded, and Subject its name: who tells of the same gap again, after a
	// crash, tells the same.
	At      time.Time
	Subject string
	Notice  v1alpha1.Notice
}

// gap gathers the events of one batch whose records were refused for good.
type gap struct {
	first, last *recorded.Event
	names       []string
	reasons     []string
	count       int64
}

// Add takes an event. A notice is left out: a gap in what tells of gaps would tell of itself without end.
func (g *gap) add(event *recorded.Event, reason string) {
	if event.Head.Action == v1alpha1.ActionNotice {
		return
	}
	if g.first == nil {
		g.first = event
	}
	g.last = event
	g.count++
	if len(g.names) < maxGapNames {
		g.names = append(g.names, event.Name)
	}
	if !slices.Contains(g.reasons, reason) {
		g.reasons = append(g.reasons, reason)
	}
}

// of is the gap as the trail is told of it.
func (g *gap) of(trail *v1alpha1.AuditTrail) Gap {
	names := strings.Join(g.names, ", ")
	if more := int(g.count) - len(g.names); more > 0 {
		names = fmt.Sprintf("%s and %d more", names, more)
	}
	count, start, end := g.count, g.first.Head.Time, g.last.Head.Time
	return Gap{
		Trail:   v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)},
		At:      start.Time,
		Subject: "refused/" + g.first.Name,
		Notice: v1alpha1.Notice{
			Reason: v1alpha1.NoticeGap,
			Message: fmt.Sprintf("The destination refused the records of %d events for good (%s): %s",
				g.count, strings.Join(g.reasons, ", "), names),
			Start: &start, End: &end, Count: &count,
		},
	}
}
