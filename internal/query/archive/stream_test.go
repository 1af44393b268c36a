package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// lines are a log stream in memory.
type lines struct {
	all []cloudwatch.Line
	// read is how many lines were given out, and held the most of one call.
	read, held int
	err        error
}

func (l *lines) Lines(_ context.Context, _, _ string, span cloudwatch.Span) iter.Seq2[cloudwatch.Line, error] {
	return func(yield func(cloudwatch.Line, error) bool) {
		if l.err != nil {
			yield(cloudwatch.Line{}, l.err)
			return
		}
		held := 0
		for _, line := range l.all {
			if line.Time.Before(span.Start) || !span.End.IsZero() && !line.Time.Before(span.End) {
				continue
			}
			l.read++
			held++
			l.held = max(l.held, held)
			if !yield(line, nil) {
				return
			}
		}
	}
}

// crowd has a crowd at once, and years of nothing before it.
func crowd(random *rand.Rand, count int) (stream *lines, names []string) {
	stream = &lines{}
	at := time.Now().Add(-3 * 365 * 24 * time.Hour).Truncate(time.Millisecond)
	for n := range count {
		switch {
		case n == 5:
			at = time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		case random.IntN(3) > 0:
			at = at.Add(time.Duration(random.IntN(50)) * time.Millisecond)
		}
		name := strings.ToLower(ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy()).String())
		names = append(names, name)
		stream.all = append(stream.all, cloudwatch.Line{Time: at, Message: fmt.Appendf(nil,
			`{"event":{"metadata":{"name":%q},"spec":{"time":%q,"action":"Update"}},"outcome":"Persisted"}`, name, at.UTC().Format("2006-01-02T15:04:05.000000Z"))})
	}
	slices.Sort(names)
	// CloudWatch Logs does not order what has the same time by name.
	random.Shuffle(len(stream.all), func(i, j int) { stream.all[i], stream.all[j] = stream.all[j], stream.all[i] })
	slices.SortStableFunc(stream.all, func(a, b cloudwatch.Line) int { return a.Time.Compare(b.Time) })
	return stream, names
}

func placeOf(stream *lines) *Place {
	trail := &v1alpha1.AuditTrail{Spec: v1alpha1.AuditTrailSpec{CloudWatch: &v1alpha1.CloudWatchDestination{}}}
	return &Place{Trail: trail, Whole: true, Strict: true, Open: func(context.Context) (Reader, error) { return stream, nil }}
}

func TestBothOrders(t *testing.T) {
	stream, want := crowd(rand.New(rand.NewPCG(1, 2)), 3*mostHeld)
	for _, newest := range []bool{false, true} {
		g := NewWithT(t)
		var got []string
		for row, err := range placeOf(stream).Read(t.Context(), query.Span{Newest: newest}, &query.Filter{}, 0) {
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(row.Source).To(Equal(query.SourceLogGroup))
			got = append(got, row.Event.Name)
		}
		if newest {
			slices.Reverse(got)
		}
		g.Expect(got).To(Equal(want))
	}
}

// Whoever wants a few of the newest does not read, or hold, all there is.
func TestTheNewestOnly(t *testing.T) {
	g := NewWithT(t)
	stream, want := crowd(rand.New(rand.NewPCG(1, 2)), 10*mostHeld)
	taken := 0
	for row, err := range placeOf(stream).Read(t.Context(), query.Span{Newest: true}, &query.Filter{}, 0) {
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(row.Event.Name).To(Equal(want[len(want)-1-taken]))
		if taken++; taken == 50 {
			break
		}
	}
	g.Expect(stream.held).To(BeNumerically("<=", mostHeld+100), "what has one time is read together")
	g.Expect(stream.read).To(BeNumerically("<", 5*mostHeld))
}

func TestAStreamThatCannotBeRead(t *testing.T) {
	g := NewWithT(t)
	refused := errors.New("refused")
	place := placeOf(&lines{err: refused})
	place.Strict = false
	for row, err := range place.Read(t.Context(), query.Span{}, &query.Filter{}, 0) {
		t.Error("there is a row, or an error:", row, err)
	}
	g.Expect(place.Failure()).To(MatchError(refused))

	place.Strict = true
	for _, err := range place.Read(t.Context(), query.Span{}, &query.Filter{}, 0) {
		g.Expect(err).To(MatchError(refused))
	}

	place.Trail.Spec.CloudWatch.LogGroupClass = v1alpha1.LogGroupClassInfrequentAccess
	for _, err := range place.Read(t.Context(), query.Span{}, &query.Filter{}, 0) {
		g.Expect(err).To(MatchError(ErrInfrequentAccess))
	}
}

// What waited for its destination for weeks is in the stream under the time at which it was pushed.
func TestWhatIsUnderAnotherTime(t *testing.T) {
	for _, newest := range []bool{false, true} {
		g := NewWithT(t)
		stream, _ := crowd(rand.New(rand.NewPCG(1, 2)), 50)
		place := placeOf(stream)
		for _, err := range place.Read(t.Context(), query.Span{Newest: newest}, &query.Filter{}, 0) {
			g.Expect(err).NotTo(HaveOccurred())
		}
		g.Expect(place.Failure()).NotTo(HaveOccurred())

		stream.all[20].Time = stream.all[20].Time.Add(slack + time.Millisecond)
		rows := 0
		for _, err := range place.Read(t.Context(), query.Span{Newest: newest}, &query.Filter{}, 0) {
			g.Expect(err).NotTo(HaveOccurred())
			rows++
		}
		g.Expect(rows).To(Equal(50))
		g.Expect(place.Failure()).To(MatchError(errDisplaced))
	}
}
