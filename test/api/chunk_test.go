package api_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

func newChunk(name string) *v1alpha1.AuditEventChunk {
	return &v1alpha1.AuditEventChunk{
		ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: name},
		Spec: v1alpha1.AuditEventChunkSpec{
			TrailRef:             v1alpha1.TrailReference{Namespace: "shop", Name: "security", UID: "trail-uid"},
			FirstResourceVersion: "1", LastResourceVersion: "2", Count: 2, Encoding: v1alpha1.ChunkJSONLinesGzip,
			Checksum: strings.Repeat("0", 64), Data: []byte("packed"),
		},
	}
}

// TestChunksAreTheOperatorsOwn: packed events are as protected as others, and nobody changes them at all.
func TestChunksAreTheOperatorsOwn(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	admin, operator := clientOf(t, env.Admin()), operatorClient(t)
	g.Eventually(t.Context(), func() error {
		return admin.Create(t.Context(), newChunk("forged"), client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("AuditEventChunks are Trailkeeper's own")))

	chunk := newChunk("kept")
	g.Expect(operator.Create(t.Context(), chunk)).To(Succeed())
	err := admin.Delete(t.Context(), chunk)
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)
	changed := chunk.DeepCopy()
	changed.Spec.Data = []byte("changed")
	g.Expect(admin.Update(t.Context(), changed)).To(MatchError(ContainSubstring("an AuditEventChunk is immutable")))
	g.Expect(operator.Delete(t.Context(), chunk)).To(Succeed())
}

func TestChunksAreChecked(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	operator := operatorClient(t)
	for name, change := range map[string]func(*v1alpha1.AuditEventChunkSpec){
		"spec.data":     func(s *v1alpha1.AuditEventChunkSpec) { s.Data = nil },
		"spec.count":    func(s *v1alpha1.AuditEventChunkSpec) { s.Count = 0 },
		"spec.encoding": func(s *v1alpha1.AuditEventChunkSpec) { s.Encoding = "Zip" },
		"spec.checksum": func(s *v1alpha1.AuditEventChunkSpec) { s.Checksum = "0" },
	} {
		chunk := newChunk("bad")
		change(&chunk.Spec)
		err := operator.Create(t.Context(), chunk)
		g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%s: %v", name, err)
		g.Expect(err).To(MatchError(ContainSubstring(name)))
	}
}
