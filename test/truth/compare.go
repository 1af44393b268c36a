package truth

import (
	"fmt"
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
}

// Compare gives each fact its event. requests are all facts of the log, wanted by the trail or not, which is what an
// event of a change that was not made may be about.
func Compare(facts []Fact, claims []Claim) Difference {
	var d Difference
	var open []*Claim
	for i := range claims {
		if !claims[i].denied() {
			open = append(open, &claims[i])
		}
	}
	byObject := map[string][]*Claim{}
	for _, claim := range open {
		byObject[claim.Spec.Actor.Username] = append(byObject[claim.Spec.Actor.Username], claim)
	}
	taken := map[*Claim]*Fact{}
	take := func(f *Fact) bool {
		var best *Claim
		for _, user := range f.Users {
			for _, claim := range byObject[user] {
				if taken[claim] == nil && claim.isOf(f) && (best == nil || closer(claim, best, f)) {
					best = claim
				}
			}
		}
		if best != nil {
			taken[best] = f
		}
		return best != nil
	}
	for i := range facts {
		if facts[i].Doubt == "" {
			d.Truth++
			if !take(&facts[i]) {
				d.Missed = append(d.Missed, facts[i])
			}
		}
	}
	for i := range facts {
		// A request for many objects may have any number of events.
		for facts[i].Doubt != "" && take(&facts[i]) && facts[i].Name == "" {
			continue
		}
	}
	for _, claim := range open {
		if taken[claim] != nil {
			continue
		}
		if slices.ContainsFunc(facts, func(f Fact) bool { return f.Doubt == "" && claim.isOf(&f) }) {
			d.Duplicated = append(d.Duplicated, *claim)
		} else {
			d.Extra = append(d.Extra, *claim)
		}
	}
	return d
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
}
