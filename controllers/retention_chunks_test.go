package controllers

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestChunkIsDone(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		trail, last, cursor, listed string
		age                         time.Duration
		want                        bool
	}{
		"past the cursor":             {trail: "trail", last: "101", cursor: "100", age: 99 * time.Hour},
		"below the cursor":            {trail: "trail", last: "99", cursor: "100", want: true},
		"numbers, not text":           {trail: "trail", last: "1000", cursor: "999"},
		"cursor ahead of the cluster": {trail: "trail", last: "99", cursor: "20000"},
		"nothing delivered":           {trail: "trail", last: "99"},
		"no annotation":               {trail: "trail", cursor: "100"},
		"trail gone a moment ago":     {trail: "gone", last: "99", cursor: "100", age: 23 * time.Hour},
		"trail gone":                  {trail: "gone", last: "101", cursor: "100", age: 24 * time.Hour, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			item := &metav1.PartialObjectMetadata{}
			item.CreationTimestamp = metav1.NewTime(now.Add(-test.age))
			item.Labels = map[string]string{v1alpha1.TrailUIDLabel: test.trail}
			if test.last != "" {
				item.Annotations = map[string]string{v1alpha1.ChunkLastAnnotation: test.last}
			}
			trails := map[string]*v1alpha1.AuditTrail{"trail": retentionTrail(test.cursor, nil)}
			NewWithT(t).Expect(chunkIsDone(item, trails, "10000", now)).To(Equal(test.want))
		})
	}
}

func testSweepsChunks(t *testing.T, rig *retentionRig) {
	t.Helper()
	g := NewWithT(t)
	rig.retention.Namespace = "trailkeeper-system"
	g.Expect(rig.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "trailkeeper-system"}})).To(Succeed())
	trail := rig.trail(t, rig.namespace(t), "security", 10)
	rig.deliver(t, trail)
	chunk := func(name, uid, last string) {
		g.Expect(rig.Create(t.Context(), &v1alpha1.AuditEventChunk{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "trailkeeper-system", Name: name, Labels: map[string]string{v1alpha1.TrailUIDLabel: uid},
				Annotations: map[string]string{v1alpha1.ChunkLastAnnotation: last},
			},
			Spec: v1alpha1.AuditEventChunkSpec{
				TrailRef:             v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: uid},
				FirstResourceVersion: "1", LastResourceVersion: last, Count: 1, Encoding: v1alpha1.ChunkJSONLinesGzip,
				Checksum: "0123456789012345678901234567890123456789012345678901234567890123", Data: []byte("x"),
			},
		})).To(Succeed())
	}
	chunk("delivered", string(trail.UID), "1")
	chunk("waiting", string(trail.UID), "9000000")
	chunk("orphan", "gone", "1")
	remaining := func() []string {
		_, err := (&orphanSweep{retention: rig.retention}).sweep(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		var list v1alpha1.AuditEventChunkList
		g.Expect(rig.List(t.Context(), &list, client.InNamespace("trailkeeper-system"))).To(Succeed())
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	}
	g.Expect(remaining()).To(ConsistOf("waiting", "orphan"))
	rig.clock.SetTime(rig.clock.Now().Add(25 * time.Hour))
	g.Expect(remaining()).To(ConsistOf("waiting"))
}
