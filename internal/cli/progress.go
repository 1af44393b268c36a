package cli

import (
	"fmt"
	"time"
)

// progressEvery is how often progress is shown anew.
const progressEvery = 100 * time.Millisecond

// progress shows on one line of the terminal how far a command is; nothing where nobody watches.
type progress struct {
	session *session
	shown   time.Time
	any     bool
}

func (s *session) startProgress() *progress { return &progress{session: s} }

// count shows how many of something there were so far.
func (p *progress) count(n int, what string) { p.show(fmt.Sprintf("Reading: %d %s", n, what)) }

func (p *progress) show(text string) {
	if !p.session.Interactive {
		return
	}
	now := p.session.Clock.Now()
	if now.Sub(p.shown) < progressEvery {
		return
	}
	p.shown, p.any = now, true
	_, _ = fmt.Fprintf(p.session.Err, "\r\x1b[K%s", text)
}

// stop removes the line.
func (p *progress) stop() {
	if p.any {
		_, _ = fmt.Fprint(p.session.Err, "\r\x1b[K")
	}
}
