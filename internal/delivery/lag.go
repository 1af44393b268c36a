package delivery

import (
	"time"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// maxLag bounds what delivery waits for others.
	maxLag = time.Minute
	// lagFor is how long it is remembered that events came late.
	lagFor = 10 * time.Second
)

// lag is how late events have come lately, between their recording and their being stored. The zero value is none.
type lag struct {
	most time.Duration
	when time.Time
}

// note takes account of events that the feed gave. What a backlog lists was not late, but only not read.
func (l *lag) note(events []recorded.Event, now time.Time) {
	for i := range events {
		if !events[i].Late {
			continue
		}
		late := min(events[i].Seen.Sub(events[i].Head.Time.Time), maxLag)
		if late >= l.at(now) || events[i].Seen.After(l.when.Add(lagFor)) {
			l.most, l.when = late, events[i].Seen
		}
	}
}

// At is how late events still come.
func (l *lag) at(now time.Time) time.Duration {
	if now.Sub(l.when) > lagFor {
		return 0
	}
	return l.most
}
