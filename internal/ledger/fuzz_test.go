package ledger

import (
	"testing"

	. "github.com/onsi/gomega"
)

// FuzzAChangedRecord: no byte of what is hashed can be changed unnoticed.
func FuzzAChangedRecord(f *testing.F) {
	for n := range uint16(64) {
		f.Add(n, n*7, byte(n+1))
	}
	f.Fuzz(func(t *testing.T, which, where uint16, by byte) {
		g := NewWithT(t)
		b := typical(t)
		n := int(which) % len(b.records)
		before, err := ReadLink(b.records[n])
		g.Expect(err).NotTo(HaveOccurred())
		b.records[n][int(where)%len(b.records[n])] ^= by
		if report := b.verify(); report.Intact() {
			// What is beside the hashed part, or another way to write the same.
			after, err := ReadLink(b.records[n])
			g.Expect(err).NotTo(HaveOccurred())
			after.Outcome = before.Outcome
			g.Expect(after).To(Equal(before))
			g.Expect(report.OtherTrails).To(BeEmpty())
		}
	})
}

// FuzzAChangedEntry: no byte of an entry can be changed unnoticed.
func FuzzAChangedEntry(f *testing.F) {
	for n := range uint16(64) {
		f.Add(n, n*13, byte(n+1))
	}
	f.Fuzz(func(t *testing.T, which, where uint16, by byte) {
		if by == 0 {
			return
		}
		b := typical(t)
		n := int(which) % len(b.entries)
		b.entries[n][int(where)%len(b.entries[n])] ^= by
		NewWithT(t).Expect(b.verify().Intact()).To(BeFalse())
	})
}

// FuzzDealing drops, repeats and moves records: what is dropped is found, what is repeated is counted, and order does not matter.
func FuzzDealing(f *testing.F) {
	f.Add([]byte{0, 1, 2})
	f.Add([]byte{40, 41, 42, 43, 44, 45})
	f.Add([]byte{100, 101, 180, 181, 250, 251, 252})
	f.Fuzz(func(t *testing.T, does []byte) {
		g := NewWithT(t)
		b := typical(t)
		dealt := append([][]byte(nil), b.records...)
		for i, do := range does {
			if len(dealt) == 0 {
				break
			}
			at, to := int(do)%len(dealt), (int(do)*7+i)%len(dealt)
			switch do % 3 {
			case 0:
				dealt = append(dealt[:at:at], dealt[at+1:]...)
			case 1:
				dealt = append(dealt, dealt[at])
			default:
				dealt[at], dealt[to] = dealt[to], dealt[at]
			}
		}
		distinct := map[string]bool{}
		for _, record := range dealt {
			distinct[string(record)] = true
		}
		whole := len(b.records)
		b.records = dealt
		report := b.verify()
		g.Expect(report.Records).To(BeEquivalentTo(len(distinct)))
		g.Expect(report.Repeated).To(BeEquivalentTo(len(dealt) - len(distinct)))
		missing := 0
		for _, finding := range report.Findings {
			g.Expect(finding.Damage).To(BeElementOf(Missing, Truncated))
			missing += int(finding.Last - finding.First + 1)
		}
		g.Expect(len(report.Findings) > 0).To(Equal(len(distinct) < whole))
		g.Expect(missing).To(BeNumerically(">=", whole-len(distinct)))
	})
}
