package ledger

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func chain(t *testing.T, specs ...string) [][]byte {
	t.Helper()
	head := Genesis("uid-1")
	var records [][]byte
	for _, spec := range specs {
		event := Event{Name: "n", Namespace: "ns", ID: "id", Spec: json.RawMessage(spec)}
		record, next, err := head.Record(event, Judgement{Outcome: v1alpha1.OutcomePersisted})
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		records, head = append(records, record), next
	}
	return records
}

func readAll(g *WithT, records [][]byte) []Link {
	links := make([]Link, 0, len(records))
	for _, record := range records {
		link, err := ReadLink(record)
		g.Expect(err).NotTo(HaveOccurred())
		links = append(links, link)
	}
	return links
}

func TestRecordsFormAChain(t *testing.T) {
	g := NewWithT(t)
	records := chain(t, `{"a":1}`, `{"b":"<&>\u2028","a":1.50}`, `{"z":null,"y":[1e3]}`)

	distinct, repeated, err := Check(Genesis("uid-1"), readAll(g, records))

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(distinct).To(HaveLen(3))
	g.Expect(repeated).To(BeZero())
	g.Expect(string(records[1])).To(ContainSubstring(`"spec":{"a":1.5,"b":"<&>`))
}

func TestRecordKeepsLargeIntegers(t *testing.T) {
	g := NewWithT(t)
	records := chain(t, `{"n":9223372036854775807}`)

	g.Expect(string(records[0])).To(ContainSubstring("9223372036854775807"))
	readAll(g, records)
}

func TestOutcomeIsNotHashed(t *testing.T) {
	g := NewWithT(t)
	event := Event{Name: "n", Namespace: "ns", ID: "id", Spec: json.RawMessage(`{}`)}
	_, persisted, err := Genesis("u").Record(event, Judgement{Outcome: v1alpha1.OutcomePersisted})
	g.Expect(err).NotTo(HaveOccurred())
	_, unknown, err := Genesis("u").Record(event, Judgement{Outcome: v1alpha1.OutcomeUnknown, Message: "no right"})
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(persisted).To(Equal(unknown))
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	records := chain(t, `{"n":1}`, `{"n":2}`, `{"n":3}`)
	tests := map[string]struct {
		order []int
		want  string
	}{
		"missing":    {[]int{0, 2}, "record 2 is missing"},
		"reordered":  {[]int{1, 0, 2}, "record 1 is missing"},
		"cut before": {[]int{1, 2}, "record 1 is missing"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var links []Link
			for _, i := range test.order {
				links = append(links, readAll(g, records[i:i+1])...)
			}
			_, _, err := Check(Genesis("uid-1"), links)
			g.Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestCheckAcceptsIdenticalRepeats(t *testing.T) {
	g := NewWithT(t)
	records := chain(t, `{"n":1}`, `{"n":2}`, `{"n":3}`)
	links := readAll(g, [][]byte{records[0], records[1], records[0], records[1], records[2]})

	distinct, repeated, err := Check(Genesis("uid-1"), links)

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(distinct).To(HaveLen(3))
	g.Expect(repeated).To(Equal(2))
}

func TestReadLinkFindsAChange(t *testing.T) {
	g := NewWithT(t)
	records := chain(t, `{"user":"alice"}`)
	forged := strings.Replace(string(records[0]), "alice", "mallory", 1)

	_, err := ReadLink([]byte(forged))

	g.Expect(err).To(MatchError(ContainSubstring("record 1 was changed")))
}

func TestRecordRefusesWhatIsNotJSON(t *testing.T) {
	g := NewWithT(t)
	_, head, err := Genesis("u").Record(Event{Spec: json.RawMessage(`{"a":`)}, Judgement{})
	g.Expect(err).To(HaveOccurred())
	g.Expect(head).To(Equal(Genesis("u")), "a failed record must not move the chain")
}
