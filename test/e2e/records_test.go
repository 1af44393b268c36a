package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/test/truth"
)

// delivered is what a record says.
func delivered(link *ledger.Link) (truth.Claim, error) {
	var event struct {
		Metadata struct{ Name string }
		Spec     v1alpha1.AuditEventSpec
	}
	if err := json.Unmarshal(link.Event, &event); err != nil {
		return truth.Claim{}, fmt.Errorf("reading the event of record %d: %w", link.Sequence, err)
	}
	return truth.Claim{Event: event.Metadata.Name, Spec: &event.Spec, Outcome: v1alpha1.Outcome(link.Outcome)}, nil
}

// expectNoSecret looks for the value of the Secrets that were written, in every place where it might have gone.
func (w *world) expectNoSecret(trails ...*v1alpha1.AuditTrail) {
	w.t.Helper()
	g := NewWithT(w.t)
	places := map[string]string{}
	for _, path := range w.operator.LogPaths() {
		log, err := os.ReadFile(path)
		g.Expect(err).NotTo(HaveOccurred())
		places[path] = string(log)
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
