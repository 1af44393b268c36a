package delivery

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// TestAnOutageCostsLittle: what waits takes little of etcd, and all of it arrives once and in order. The long form has
// 50,000 events.
func TestAnOutageCostsLittle(t *testing.T) {
	count, patience := 2000, time.Minute
	if os.Getenv("TRAILKEEPER_SOAK") != "" {
		count, patience = 50_000, 5*time.Minute
	}
	g := NewWithT(t)
	r := newRig(t)
	trail := r.trail(t)
	bytes := func() int64 {
		size, err := env.EtcdBytes(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		return size
	}
	empty := bytes()
	names := r.recordAs(t, trail, 0, count, vary)
	single := bytes() - empty

	back := r.away()
	began := time.Now()
	r.serve(t, r.leadSmall(t, func(o *Options) { o.Limits.Single = 1 }), trail)
	g.Eventually(func() *v1alpha1.DeliveryStatus { return r.read(t, trail).Status.Delivery }, patience, 100*time.Millisecond).
		Should(And(Not(BeNil()), HaveField("Packed", BeEquivalentTo(count))))
	t.Logf("%d events were packed in %s", count, time.Since(began))
	g.Eventually(func(g Gomega) { g.Expect(r.singles(g)).To(BeZero()) }, patience, time.Second).Should(Succeed())
	packed := bytes() - empty
	t.Logf("%d bytes of etcd an event singly, %d packed", single/int64(count), packed/int64(count))
	g.Expect(packed).To(BeNumerically("<", single/3))

	back()
	began = time.Now()
	g.Eventually(func() int64 { return r.read(t, trail).Status.Delivery.Delivered }, patience, 100*time.Millisecond).
		Should(BeEquivalentTo(count))
	t.Logf("and delivered in %s", time.Since(began))
	links, repeated := r.arrived(g, trail, ledger.Genesis(string(trail.UID)))
	g.Expect(linkNames(t, links)).To(Equal(names))
	g.Expect(repeated).To(BeZero())
}

// vary gives an event three changes of its own, as those of a Deployment are. What is random in it is what makes up the size of a
// chunk: digests, ids and values.
func vary(event *v1alpha1.AuditEvent) {
	event.Spec.ID = random(16)
	event.Spec.Resource.UID = string(uuid.NewUUID())
	event.Spec.Level = v1alpha1.LevelChanges
	event.Spec.Actor.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:deployments", "system:authenticated"}
	for _, path := range []string{
		"/spec/template/spec/containers/0/image", "/spec/template/metadata/annotations/checksum~1config", "/metadata/labels/app.kubernetes.io~1version",
	} {
		event.Spec.Changes = append(event.Spec.Changes, v1alpha1.Change{Op: "replace", Path: &path, From: value(), Value: value()})
		event.Spec.Evidence = append(event.Spec.Evidence, v1alpha1.Evidence{Path: path, Was: random(16), Digest: random(16)})
	}
}

func value() *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(`"registry.example.com/shop/storefront@sha256:` + random(8) + `"`)}
}

// random is so many random bytes in hexadecimal.
func random(bytes int) string {
	text := make([]byte, bytes)
	_, _ = rand.Read(text) // It never fails.
	return hex.EncodeToString(text)
}
