package truth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is what a trail's events and the truth differ in.
type Difference struct {
	// Truth is how many changes there were.
	Truth int
	// Missed are changes without an event; Duplicated are further events of a change that has one; Extra are events of
	// nothing that happened.
	Missed            []Fact
	Duplicated, Extra []Claim
	// Doubted counts the events that were given to a fact that may not have happened, by the doubt: each is one of which neither
	// the log nor the trail can be held to account.
	Doubted map[string]int
}

// Compare gives each fact its event, those that surely happened first.
func Compare(facts []Fact, claims []Claim) Difference {
	d := Difference{Doubted: map[string]int{}}
	m := newMatching(claims)
	for i := range facts {
		if facts[i].Doubt != "" {
			continue
		}
		d.Truth++
		if !m.take(&facts[i]) {
			d.Missed = append(d.Missed, facts[i])
		}
	}
	for i := range facts {
		// A request for many objects may have any number of events.
		for facts[i].Doubt != "" && m.take(&facts[i]) {
			d.Doubted[facts[i].Doubt]++
			if facts[i].Name != "" {
				break
			}
		}
	}
	for _, claim := range m.open {
		switch {
		case m.taken[claim]:
		case slices.ContainsFunc(facts, func(f Fact) bool { return f.Doubt == "" && claim.isOf(&f) }):
			d.Duplicated = append(d.Duplicated, *claim)
		default:
			d.Extra = append(d.Extra, *claim)
		}
	}
	return d
}

// matching gives claims to facts.
type matching struct {
	// open are the claims that something was done.
	open   []*Claim
	byUser map[string][]*Claim
	taken  map[*Claim]bool
}

func newMatching(claims []Claim) *matching {
	m := &matching{byUser: map[string][]*Claim{}, taken: map[*Claim]bool{}}
	for i := range claims {
		if claim := &claims[i]; !claim.denied() {
			m.open = append(m.open, claim)
			m.byUser[claim.Spec.Actor.Username] = append(m.byUser[claim.Spec.Actor.Username], claim)
		}
	}
	return m
}

// take gives the fact the nearest claim that can be its own.
func (m *matching) take(f *Fact) bool {
	var best *Claim
	for _, user := range f.Users {
		for _, claim := range m.byUser[user] {
			if !m.taken[claim] && claim.isOf(f) && (best == nil || closer(claim, best, f)) {
				best = claim
			}
		}
	}
	m.taken[best] = best != nil
	return best != nil
}

// closer says which of two claims was made nearer to when the fact's request was received.
func closer(a, b *Claim, f *Fact) bool {
	received := f.Entry.RequestReceivedTimestamp
	return a.Spec.Time.Sub(received).Abs() < b.Spec.Time.Sub(received).Abs()
}

// Equal says that each change has its event, and each event its change.
func (d *Difference) Equal() bool { return len(d.Missed)+len(d.Duplicated)+len(d.Extra) == 0 }

// Summary is the figures.
func (d *Difference) Summary() string {
	return fmt.Sprintf("truth=%d missed=%d extra=%d duplicated=%d", d.Truth, len(d.Missed), len(d.Extra), len(d.Duplicated))
}

// Details shows what differs, up to a number of lines each.
func (d *Difference) Details(limit int) string {
	var lines []string
	for i := range d.Missed[:min(limit, len(d.Missed))] {
		lines = append(lines, "missed     "+d.Missed[i].String())
	}
	for i := range d.Extra[:min(limit, len(d.Extra))] {
		lines = append(lines, "extra      "+d.Extra[i].String())
	}
	for i := range d.Duplicated[:min(limit, len(d.Duplicated))] {
		lines = append(lines, "duplicated "+d.Duplicated[i].String())
	}
	return strings.Join(lines, "\n")
}

// Add adds another trail's figures.
func (d *Difference) Add(other *Difference) {
	d.Truth += other.Truth
	d.Missed = append(d.Missed, other.Missed...)
	d.Extra = append(d.Extra, other.Extra...)
	d.Duplicated = append(d.Duplicated, other.Duplicated...)
	if d.Doubted == nil {
		d.Doubted = map[string]int{}
	}
	for doubt, count := range other.Doubted {
		d.Doubted[doubt] += count
	}
}

// Doubts shows how many events nobody can be held to account for, and why, one line for each reason.
func (d *Difference) Doubts() string {
	var lines []string
	for _, doubt := range slices.Sorted(maps.Keys(d.Doubted)) {
		lines = append(lines, fmt.Sprintf("%5d %s", d.Doubted[doubt], doubt))
	}
	return strings.Join(lines, "\n")
}
