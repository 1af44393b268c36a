package controllers

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// endless lists full pages for ever.
type endless struct {
	client.Reader
	pages int
}

func (e *endless) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	e.pages++
	into.(*metav1.PartialObjectMetadataList).Items = make([]metav1.PartialObjectMetadata, countSize)
	into.SetContinue("more")
	return nil
}

// TestNoMoreIsCountedThanOneTurnPrunes: each page costs the API server a walk over all events that follow.
func TestNoMoreIsCountedThanOneTurnPrunes(t *testing.T) {
	g := NewWithT(t)
	events := &endless{}
	r := &RetentionReconciler{Events: events}
	g.Expect(r.count(t.Context(), &v1alpha1.AuditTrail{}, 2*countSize+1)).To(BeEquivalentTo(3 * countSize))
	g.Expect(events.pages).To(Equal(3))
}
