package cli

import (
	"fmt"
	"time"
)

// printf writes to what was asked for. What others wrote must be escaped by then. An output that is gone, as with | head,
// ends the program by SIGPIPE; other failures show where the output is kept.
func (s *session) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Out, format, args...)
}

// moment is a time as all commands show it, in UTC and to the second.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// durationText is a number of seconds in the largest unit that divides it.
func durationText(seconds int32) string {
	for _, unit := range []struct {
		seconds   int32
		one, many string
	}{{24 * 60 * 60, "day", "days"}, {60 * 60, "hour", "hours"}, {60, "minute", "minutes"}} {
		if seconds%unit.seconds == 0 {
			return amount(int64(seconds/unit.seconds), unit.one, unit.many)
		}
	}
	return amount(int64(seconds), "second", "seconds")
}
