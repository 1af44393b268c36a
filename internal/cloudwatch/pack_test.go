package cloudwatch

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

const minute = int64(time.Minute / time.Millisecond)

func message(n int) []byte { return bytes.Repeat([]byte("x"), n) }

func packAll(t *testing.T, p *Packer, records []Record) [][]Record {
	t.Helper()
	var batches [][]Record
	for _, r := range records {
		full, err := p.Add(r)
		if err != nil {
			t.Fatalf("adding a record of %d bytes: %v", len(r.Message), err)
		}
		if full != nil {
			batches = append(batches, full)
		}
	}
	if last := p.Flush(); len(last) > 0 {
		batches = append(batches, last)
	}
	return batches
}

func repeat(n int, r Record) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = r
	}
	return records
}

func TestPackerCutsAtTheLimits(t *testing.T) {
	const day = 24 * 60 * minute
	quarter := Record{Message: message(MaxBatchBytes/4 - EventOverhead)} // Four fill a batch to the byte.
	cases := map[string]struct {
		records []Record
		sizes   []int
	}{
		"nothing":                        {nil, nil},
		"exactly the bytes":              {repeat(4, quarter), []int{4}},
		"one byte too many":              {append(repeat(3, quarter), Record{Message: message(MaxBatchBytes/4 - EventOverhead)}, Record{Message: message(1)}), []int{4, 1}},
		"exactly the events":             {repeat(MaxBatchEvents, Record{Message: message(1)}), []int{MaxBatchEvents}},
		"one event too many":             {repeat(MaxBatchEvents+1, Record{Message: message(1)}), []int{MaxBatchEvents, 1}},
		"just within a day":              {[]Record{{0, message(1)}, {day - 1, message(1)}}, []int{2}},
		"a day apart":                    {[]Record{{0, message(1)}, {day, message(1)}}, []int{1, 1}},
		"older within the skew":          {[]Record{{10 * minute, message(1)}, {5 * minute, message(1)}}, []int{2}},
		"older beyond the skew":          {[]Record{{10 * minute, message(1)}, {5*minute - 1, message(1)}}, []int{1, 1}},
		"times as far apart as they get": {[]Record{{math.MaxInt64, message(1)}, {math.MinInt64, message(1)}, {math.MaxInt64, message(1)}}, []int{1, 1, 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var sizes []int
			for _, batch := range packAll(t, NewPacker(0), c.records) {
				sizes = append(sizes, len(batch))
			}
			g.Expect(sizes).To(Equal(c.sizes))
		})
	}
}

func TestPackerMakesABatchChronological(t *testing.T) {
	g := NewWithT(t)
	batches := packAll(t, NewPacker(0), []Record{{9, message(1)}, {7, message(2)}, {11, message(3)}})
	g.Expect(batches).To(Equal([][]Record{{{9, message(1)}, {9, message(2)}, {11, message(3)}}}))
}

func TestPackerRefusesWhatNoCallCanCarry(t *testing.T) {
	g := NewWithT(t)
	p := NewPacker(0)
	for _, size := range []int{0, MaxEventBytes + 1} {
		_, err := p.Add(Record{Message: message(size)})
		g.Expect(err).To(MatchError(ErrMessageSize))
	}
	_, err := p.Add(Record{Message: []byte("half a \xe2\x82 euro")})
	g.Expect(err).To(MatchError(ErrMessageText))
	g.Expect(p.Len()).To(BeZero())
	_, err = p.Add(Record{Message: message(MaxEventBytes)})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = NewPacker(math.MaxInt).Add(Record{Message: message(MaxBatchBytes - EventOverhead + 1)})
	g.Expect(err).To(MatchError(ErrMessageSize))
}

// FuzzPacker reads records from the input, eight bytes of time and two of length each, and checks every promise.
func FuzzPacker(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff}, 40))
	f.Fuzz(func(t *testing.T, input []byte) {
		var records []Record
		for chunk := range slices.Chunk(input, 10) {
			if len(chunk) < 10 {
				break
			}
			records = append(records, Record{
				Time:    int64(binary.BigEndian.Uint64(chunk)),
				Message: message(1 + 4*int(binary.BigEndian.Uint16(chunk[8:]))),
			})
		}
		next := 0
		for _, batch := range packAll(t, NewPacker(math.MaxInt), records) {
			checkLimits(t, batch)
			for _, got := range batch {
				want := records[next]
				next++
				if len(got.Message) != len(want.Message) || got.Time < want.Time || further(want.Time, got.Time, maxSkew) {
					t.Fatalf("record %d became another: %d at %d, want %d at %d", next, len(got.Message), got.Time, len(want.Message), want.Time)
				}
			}
		}
		if next != len(records) {
			t.Fatalf("%d of %d records are in a batch", next, len(records))
		}
	})
}

func checkLimits(t *testing.T, batch []Record) {
	t.Helper()
	size := 0
	for i, r := range batch {
		size += len(r.Message) + 26
		if i > 0 && r.Time < batch[i-1].Time {
			t.Fatal("batch is not chronological")
		}
	}
	span := uint64(batch[len(batch)-1].Time) - uint64(batch[0].Time)
	if size > 1_048_576 || len(batch) > 10_000 || span >= uint64(24*60*minute) {
		t.Fatalf("batch breaks a limit: %d bytes, %d events, %d ms", size, len(batch), span)
	}
}

func BenchmarkPacker(b *testing.B) {
	body := message(1400)
	p := NewPacker(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := p.Add(Record{Time: int64(i), Message: body}); err != nil {
			b.Fatal(err)
		}
	}
}
