package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func sample() *Report {
	r := &Report{}
	r.Add("recorder.added_p50_ms", 3.14159, "ms", AtMost(5))
	r.Add("delivery.events_per_s", 4321.9, "events/s", AtLeast(5000))
	r.Add("recorder.unwanted.ns", 0, "ns", Target{})
	r.AddRow(Row{What: "ConfigMaps, recorder", Load: "100/s", P50: 11.26, P99: 20, PerSecond: 99.9, Remark: "no failure"})
	r.AddRow(Row{What: "manager", P50: math.NaN(), P99: math.NaN(), PerSecond: math.NaN(), Remark: "peak RSS 80 MB"})
	return r
}

func TestMarkdown(t *testing.T) {
	g := NewWithT(t)
	var text strings.Builder
	g.Expect(sample().WriteMarkdown(&text)).To(Succeed())
	g.Expect(text.String()).To(Equal(strings.TrimLeft(`
| metric                | value | unit     | target | verdict |
| --------------------- | ----- | -------- | ------ | ------- |
| recorder.added_p50_ms | 3.14  | ms       | ≤ 5    | met     |
| delivery.events_per_s | 4322  | events/s | ≥ 5000 | MISSED  |
| recorder.unwanted.ns  | 0     | ns       |        |         |

| measured             | load  | p50 ms | p99 ms | per second | remark         |
| -------------------- | ----- | ------ | ------ | ---------- | -------------- |
| ConfigMaps, recorder | 100/s | 11.3   | 20     | 99.9       | no failure     |
| manager              |       |        |        |            | peak RSS 80 MB |
`, "\n")))
}

func TestJSONHasNameValueAndUnit(t *testing.T) {
	g := NewWithT(t)
	r := sample()
	r.Add("not.measured", math.NaN(), "ms", Target{})
	path := filepath.Join(t.TempDir(), "bin", "bench.json")
	g.Expect(r.WriteJSON(path)).To(Succeed())
	written, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(written).To(MatchJSON(`[
		{"name": "recorder.added_p50_ms", "value": 3.14159, "unit": "ms"},
		{"name": "delivery.events_per_s", "value": 4321.9, "unit": "events/s"},
		{"name": "recorder.unwanted.ns", "value": 0, "unit": "ns"}
	]`))
}

func TestMissed(t *testing.T) {
	for name, test := range map[string]struct {
		value  float64
		target Target
		missed bool
	}{
		"below the most":        {4.99, AtMost(5), false},
		"the most":              {5, AtMost(5), false},
		"above the most":        {5.01, AtMost(5), true},
		"the least":             {0.4, AtLeast(0.4), false},
		"below the least":       {0.39, AtLeast(0.4), true},
		"no target":             {1e9, Target{}, false},
		"not measured, at most": {math.NaN(), AtMost(5), true},
		"not measured, least":   {math.NaN(), AtLeast(5), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{}
			r.Add("some.metric", test.value, "ms", test.target)
			NewWithT(t).Expect(r.Missed()).To(HaveLen(map[bool]int{true: 1, false: 0}[test.missed]))
		})
	}
}
