package plugin_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cli"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// verify proves that the operator's own records are whole, and tells each way in which somebody with write access to the log
// group may have tampered with them.
func (w *world) verify(t *testing.T) {
	g := NewWithT(t)
	records, entries := w.trail.Status.LogStreamName, w.trail.Status.LogStreamName+".ledger"
	whole := w.run(t, "verify", "live/changes")
	g.Expect(whole.code).To(BeZero(), whole.out+whole.err)
	g.Expect(whole.out).To(And(ContainSubstring("Intact: nothing is missing"), ContainSubstring("known from the trail's status")))
	outside := []string{
		"verify", "--region", region, "--log-group", logGroup, "--log-stream", records, "--trail-uid", string(w.trail.UID),
	}
	key := w.trail.Status.Ledger.PublicKey
	got := w.run(t, append(outside, "--key", key)...)
	g.Expect(got.code).To(BeZero(), got.out+got.err)
	g.Expect(got.out).To(ContainSubstring("Intact"))
	g.Expect(w.run(t, outside...).out).To(ContainSubstring("agree with itself only"))

	for name, test := range map[string]struct {
		stream string
		tamper func([]cloudsim.Event) []cloudsim.Event
		want   []string
	}{
		"missing":   {records, func(e []cloudsim.Event) []cloudsim.Event { return slices.Delete(e, 3, 5) }, []string{"Missing", "records 4 to 5 are missing"}},
		"changed":   {records, changed, []string{"Changed", "was changed"}},
		"reordered": {records, swapped, []string{"Changed", "records"}},
		"truncated": {records, func(e []cloudsim.Event) []cloudsim.Event { return e[:len(e)-2] }, []string{"Truncated", "cut off at the end"}},
		"emptied":   {records, func([]cloudsim.Event) []cloudsim.Event { return nil }, []string{"Truncated"}},
		"added":     {records, added, []string{"Unreadable"}},
		"ledger cut off": {entries, func(e []cloudsim.Event) []cloudsim.Event { return e[:len(e)-1] },
			[]string{"Truncated", "missing from the ledger"}},
		"ledger forged": {entries, forged, []string{"Forged", "ledger"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := w.sim.Events(region, logGroup, test.stream)
			w.rewrite(t, test.stream, test.tamper(slices.Clone(before)))
			defer w.rewrite(t, test.stream, before)
			got := w.run(t, "verify", "changes", "-n", live)
			g.Expect(got.code).To(Equal(cli.ExitWrong), got.out+got.err)
			g.Expect(got.out).To(ContainSubstring("NOT INTACT"))
			for _, want := range test.want {
				g.Expect(got.out).To(ContainSubstring(want))
			}
		})
	}
	t.Run("repeated", func(t *testing.T) {
		g := NewWithT(t)
		before := w.sim.Events(region, logGroup, records)
		w.rewrite(t, records, append(slices.Clone(before), before[2]))
		defer w.rewrite(t, records, before)
		got := w.run(t, "verify", "live/changes")
		g.Expect(got.code).To(BeZero(), got.out)
		g.Expect(got.out).To(ContainSubstring("repeated 1,"))
	})
	t.Run("a stranger's key", func(t *testing.T) {
		const other = "zswVB9wd3XKVlRwpCIjwla25BE0bc9aW5t8GXWg71Pw="
		got := w.run(t, "verify", "live/changes", "--key", other)
		g := NewWithT(t)
		g.Expect(got.code).To(Equal(cli.ExitWrong))
		g.Expect(got.out).To(ContainSubstring("no trusted key leads"))
	})
	t.Run("what stands in the way", w.verifyRefused)
}

func (w *world) verifyRefused(t *testing.T) {
	g := NewWithT(t)
	g.Expect(w.run(t, "verify").err).To(ContainSubstring("say which trail"))
	g.Expect(w.run(t, "verify", "shop/shop").err).To(ContainSubstring("ClusterOnly"))
	powerless := person
	powerless.Policy = cloudsim.Allow("logs:PutLogEvents")
	w.sim.PutUser(powerless)
	defer w.sim.PutUser(person)
	g.Expect(w.run(t, "verify", "live/changes").err).To(ContainSubstring("logs:GetLogEvents allowed"))
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY0000000000")
	g.Expect(w.run(t, "verify", "live/changes").err).To(ContainSubstring("AWS does not accept your credentials"))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	g.Expect(w.run(t, "verify", "live/changes").err).To(ContainSubstring("no AWS credentials can be used"))
}

func changed(events []cloudsim.Event) []cloudsim.Event {
	events[4].Message = strings.Replace(events[4].Message, `"action":"Create"`, `"action":"Update"`, 1)
	return events
}

// swapped gives two records each other's numbers.
func swapped(events []cloudsim.Event) []cloudsim.Event {
	events[4].Message = strings.Replace(events[4].Message, `"sequence":5`, `"sequence":6`, 1)
	events[5].Message = strings.Replace(events[5].Message, `"sequence":6`, `"sequence":5`, 1)
	return events
}

func added(events []cloudsim.Event) []cloudsim.Event {
	events[5].Message = `{"note":"this is no record"}`
	return append(events, events[4])
}

// forged says in the last entry that less was delivered.
func forged(events []cloudsim.Event) []cloudsim.Event {
	last := &events[len(events)-1]
	var entry map[string]any
	if json.Unmarshal([]byte(last.Message), &entry) != nil {
		panic("an entry is JSON")
	}
	last.Message = strings.Replace(last.Message, `"cluster":"`, `"cluster":"x`, 1)
	return events
}

// rewrite replaces what is in a stream, as somebody who may delete and create it can.
func (w *world) rewrite(t *testing.T, stream string, events []cloudsim.Event) {
	t.Helper()
	g := NewWithT(t)
	w.sim.RemoveStream(region, logGroup, stream)
	w.sim.AddStream(region, logGroup, stream)
	if len(events) == 0 {
		return
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region))
	g.Expect(err).NotTo(HaveOccurred())
	input := &cloudwatchlogs.PutLogEventsInput{LogGroupName: new(logGroup), LogStreamName: &stream}
	slices.SortStableFunc(events, func(a, b cloudsim.Event) int { return int(a.Timestamp - b.Timestamp) })
	for i := range events {
		input.LogEvents = append(input.LogEvents, types.InputLogEvent{Timestamp: &events[i].Timestamp, Message: &events[i].Message})
	}
	_, err = cloudwatchlogs.NewFromConfig(cfg).PutLogEvents(t.Context(), input)
	g.Expect(err).NotTo(HaveOccurred())
}

// olderEvents reads from the log stream what the cluster has no longer. The oldest half is taken from the cluster, as retention does.
func (w *world) olderEvents(t *testing.T) {
	g := NewWithT(t)
	whole := w.run(t, "events", "-n", live, "--limit", "0", "-o", "json")
	g.Expect(whole.code).To(BeZero(), whole.err)
	names := namesIn(t, whole.out)
	config, err := env.ServiceAccountConfig(t.Context(), "trailkeeper-system", "trailkeeper-manager")
	g.Expect(err).NotTo(HaveOccurred())
	operator, err := client.New(config, client.Options{Scheme: w.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	var events v1alpha1.AuditEventList
	g.Expect(w.List(t.Context(), &events, client.InNamespace(live))).To(Succeed())
	var gone []string
	for i := range len(events.Items) / 2 {
		g.Expect(operator.Delete(t.Context(), &events.Items[i])).To(Succeed())
		// A notice has no outcome to show.
		if events.Items[i].Spec.Action != v1alpha1.ActionNotice {
			gone = append(gone, events.Items[i].Name)
		}
	}
	g.Expect(gone).NotTo(BeEmpty())
	for _, order := range []string{"0", "500"} {
		got := w.run(t, "events", "-n", live, "--since", "1h", "--limit", order, "-o", "json")
		g.Expect(got.code).To(BeZero(), got.err)
		g.Expect(namesIn(t, got.out)).To(Equal(names), "--limit %s", order)
		g.Expect(got.out).To(And(ContainSubstring(`"source": "LogGroup"`), ContainSubstring(`"source": "Cluster"`)))
		g.Expect(got.err).To(BeEmpty())
	}
	pruned := w.run(t, "show", live+"/"+gone[0])
	g.Expect(pruned.code).To(BeZero(), pruned.err)
	g.Expect(pruned.out).To(And(ContainSubstring("Found in    CloudWatch Logs"), ContainSubstring("Outcome     Persisted")))
	onlyCluster := w.run(t, "events", "-n", live, "--limit", "0", "-o", "json")
	g.Expect(len(namesIn(t, onlyCluster.out))).To(BeNumerically("<", len(names)))
	g.Expect(onlyCluster.err).To(ContainSubstring("The cluster has events from"))
	everything := w.run(t, "events", "-n", live, "--from-cloudwatch", "--limit", "0", "-o", "json")
	g.Expect(namesIn(t, everything.out)).To(Equal(names))

	powerless := person
	powerless.Policy = cloudsim.Allow("logs:PutLogEvents")
	w.sim.PutUser(powerless)
	defer w.sim.PutUser(person)
	got := w.run(t, "events", "-n", live, "--since", "1h", "--limit", "0", "-o", "json")
	g.Expect(got.code).To(BeZero(), got.err)
	g.Expect(got.err).To(And(ContainSubstring("Older events of trail live/changes are missing: the answer has all of it from "),
		ContainSubstring("logs:GetLogEvents allowed")))
	g.Expect(namesIn(t, got.out)).To(Equal(namesIn(t, onlyCluster.out)))
	g.Expect(w.run(t, "events", "-n", live, "--from-cloudwatch").code).To(Equal(cli.ExitFailed))
}

func namesIn(t *testing.T, output string) []string {
	t.Helper()
	var list v1alpha1.AuditEventList
	NewWithT(t).Expect(json.Unmarshal([]byte(output), &list)).To(Succeed())
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}
