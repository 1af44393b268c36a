package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// delivered is what a record says, and whether the change stuck.
func delivered(link *ledger.Link) (fact, bool, error) {
	var event struct{ Spec v1alpha1.AuditEventSpec }
	if err := json.Unmarshal(link.Event, &event); err != nil {
		return fact{}, false, fmt.Errorf("reading the event of record %d: %w", link.Sequence, err)
	}
	return factOf(&event.Spec), link.Outcome != string(v1alpha1.OutcomeNotPersisted), nil
}

// expectNoSecret looks for the value of the Secrets that were written, in every place where it might have gone.
func (w *world) expectNoSecret(trails ...*v1alpha1.AuditTrail) {
	w.t.Helper()
	g := NewWithT(w.t)
	places := map[string]string{}
	for name, manager := range w.replicas {
		log, err := os.ReadFile(manager.LogPath())
		g.Expect(err).NotTo(HaveOccurred())
		places["log of replica "+name] = string(log)
	}
	for _, trail := range trails {
		var list v1alpha1.AuditEventList
		g.Expect(w.admin.List(w.t.Context(), &list, client.InNamespace(trail.Namespace))).To(Succeed())
		events, err := json.Marshal(list)
		g.Expect(err).NotTo(HaveOccurred())
		places["events of "+trail.Name] = string(events)
		for _, record := range w.account.records(w.reader, group, fmt.Sprintf("e2e/%s/%s", trail.Namespace, trail.Name)) {
			places["records of "+trail.Name] += record
		}
	}
	for place, content := range places {
		g.Expect(content).NotTo(BeEmpty(), place)
		for _, secret := range []string{
			plantedSecret, base64.StdEncoding.EncodeToString([]byte(plantedSecret))[:16], w.owner.SecretAccessKey,
		} {
			g.Expect(content).NotTo(ContainSubstring(secret), place)
		}
	}
}

// copyBoth copies in both directions until one side ends, or the context does.
func copyBoth(ctx context.Context, a, b net.Conn) {
	done := make(chan struct{}, 2)
	one := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // The end of a connection is what it waits for.
		done <- struct{}{}
	}
	go one(a, b)
	go one(b, a)
	select {
	case <-done:
	case <-ctx.Done():
	}
	_, _ = a.Close(), b.Close()
	<-done
}
