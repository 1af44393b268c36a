package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// show prints what the cluster keeps and what CloudWatch Logs received, one under the other.
func (s *stage) show(ctx context.Context) error {
	if err := s.showKubectl(ctx, "get", "auditevents", "-A"); err != nil {
		return err
	}
	s.say("\nThe trail in shop keeps what happens in shop, the one in the operator's namespace what happens anywhere. OUTCOME is")
	s.say("empty where a change stuck. The Ingress was admitted, and then refused by a quota. Where the outcome of a change to a")
	s.say("Secret is Unknown, no later change proved it, and the operator may not read Secrets.")
	for _, trail := range s.trails {
		in := streamOf(trail)
		records, err := read(string(trail.UID), s.account.records(in))
		if err != nil {
			return err
		}
		s.say("\nCloudWatch Logs received in %s, group %s, stream %s (the chain of hashes is whole):\n", in.region, in.group, in.name)
		table := tabwriter.NewWriter(s.out, 0, 0, 3, ' ', 0)
		_, _ = fmt.Fprintln(table, "SEQUENCE\tWHO\tACTION\tOBJECT\tOUTCOME\tNOTE")
		for _, record := range records {
			_, _ = fmt.Fprintf(table, "%d\t%s\n", record.sequence, record.row())
		}
		_ = table.Flush() // As with say, nobody reads it when it cannot be written.
	}
	return s.showKubectl(ctx, "get", "audittrails", "-A")
}

func (e entry) row() string {
	return strings.Join([]string{e.who, e.action, e.object(), string(e.outcome), e.note}, "\t")
}

func (s *stage) showKubectl(ctx context.Context, args ...string) error {
	output, err := s.kubectl(ctx, s.adminKubeconfig, args...)
	s.say("\n$ kubectl %s\n%s", strings.Join(args, " "), strings.TrimSpace(output))
	return err
}

// showLog prints the end of the operator's log, for when something went wrong.
func (s *stage) showLog() {
	const end = 4000
	content, err := os.ReadFile(s.operator.LogPath())
	if err != nil {
		s.say("\nThe operator's log cannot be read: %v", err)
		return
	}
	s.say("\nThe end of the operator's log:\n%s", content[max(0, len(content)-end):])
}

// invite says what to try.
func (s *stage) invite() {
	s.say("\nThe demo stays up until you interrupt it (Ctrl-C). In another terminal:\n")
	s.say("  export KUBECONFIG=%s PATH=%s:$PATH", s.adminKubeconfig, filepath.Dir(s.env.Kubectl()))
	s.say("  kubectl -n shop create configmap hello --from-literal=from=me")
	s.say("  kubectl get auditevents -A --field-selector spec.actor.username=alice")
	s.say("  kubectl -n shop get auditevents -o yaml")
	s.say("\nMake a change there and watch it arrive here:\n")
}

// follow prints records as they arrive, of the streams of all trails.
func (s *stage) follow(ctx context.Context) {
	shown := map[stream]int{}
	for _, in := range s.account.known() {
		shown[in] = len(s.account.records(in))
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, in := range s.account.known() {
			records := s.account.records(in)
			for _, record := range records[shown[in]:] {
				s.say("  %s", describe(in, record))
			}
			shown[in] = len(records)
		}
	}
}

// describe is one record on one line; a record that cannot be read says why.
func describe(in stream, record string) string {
	link, err := ledger.ReadLink([]byte(record))
	if err != nil {
		return fmt.Sprintf("%s %s: %v", in.group, in.name, err)
	}
	decoded, err := decode(&link)
	if err != nil {
		return fmt.Sprintf("%s %s: %v", in.group, in.name, err)
	}
	return fmt.Sprintf("%s %s #%d  %s", in.group, in.name, decoded.sequence, strings.Join(strings.Fields(decoded.row()), " "))
}
