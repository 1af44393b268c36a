package api_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// newChunk is a chunk, with a spec that is changed so.
func newChunk(t *testing.T, name string, change ...func(*v1alpha1.AuditEventChunkSpec)) *unstructured.Unstructured {
	t.Helper()
	chunk := &v1alpha1.AuditEventChunk{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEventChunk"},
		ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: name},
		Spec: v1alpha1.AuditEventChunkSpec{
			TrailRef:             v1alpha1.TrailReference{Namespace: "shop", Name: "security", UID: "trail-uid"},
			FirstResourceVersion: "1", LastResourceVersion: "2", Count: 2, Encoding: v1alpha1.ChunkJSONLinesGzip,
			Checksum: strings.Repeat("0", 64), Data: []byte("packed"),
		},
	}
	for _, apply := range change {
		apply(&chunk.Spec)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(chunk)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &unstructured.Unstructured{Object: content}
}

// TestChunksAreTheOperatorsOwn: packed events are as protected as others, and nobody changes them at all.
func TestChunksAreTheOperatorsOwn(t *testing.T) {
	g := NewWithT(t)
	waitForPolicies(t)
	admin, operator := clientOf(t, env.Admin()), operatorClient(t)
	g.Eventually(t.Context(), func() error {
		return admin.Create(t.Context(), newChunk(t, "forged"), client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring("AuditEventChunks are Trailkeeper's own")))

	chunk := newChunk(t, "kept")
	g.Expect(operator.Create(t.Context(), chunk)).To(Succeed())
	err := admin.Delete(t.Context(), chunk)
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)
	changed := chunk.DeepCopy()
	g.Expect(unstructured.SetNestedField(changed.Object, "Y2hhbmdlZA==", "spec", "data")).To(Succeed())
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
		err := operator.Create(t.Context(), newChunk(t, "bad", change))
		g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%s: %v", name, err)
		g.Expect(err).To(MatchError(ContainSubstring(name)))
	}
}
