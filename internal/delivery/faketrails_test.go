package delivery

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

// fakeTrails is the API server for one trail's status: it stores what is applied, if nobody has written in between.
type fakeTrails struct {
	client.Client

	mu    sync.Mutex
	trail *v1alpha1.AuditTrail // nil when it is gone
	// before, if set, runs before the next write reaches the API server.
	before func(trail *v1alpha1.AuditTrail)
	// Err is the answer to the next write; lost says that the write was made nevertheless.
	err  error
	lost bool
	// applied are the statuses that were stored, patched how often an event's status was written.
	applied []v1alpha1.AuditTrailStatus
	patched int
	// onPatch is which version it is then; patchErr is the answer to all of that.
	onPatch  func() uint64
	patchErr error
}

func newFakeTrails(trail *v1alpha1.AuditTrail) *fakeTrails {
	trail = trail.DeepCopy()
	trail.ResourceVersion = "1"
	return &fakeTrails{trail: trail}
}

var trailsResource = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "audittrails"}

// touch is a write by somebody else.
func touch(trail *v1alpha1.AuditTrail) {
	version, _ := strconv.Atoi(trail.ResourceVersion)
	trail.ResourceVersion = strconv.Itoa(version + 1)
}

func (f *fakeTrails) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trail == nil {
		return apierrors.NewNotFound(trailsResource, key.Name)
	}
	f.trail.DeepCopyInto(into.(*v1alpha1.AuditTrail))
	return nil
}

// List finds no chunks.
func (f *fakeTrails) List(context.Context, client.ObjectList, ...client.ListOption) error { return nil }

func (f *fakeTrails) Status() client.SubResourceWriter { return fakeTrailStatus{fakeTrails: f} }

type fakeTrailStatus struct {
	client.SubResourceWriter
	*fakeTrails
}

func (f fakeTrailStatus) Apply(_ context.Context, o runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before := f.before; before != nil {
		f.before = nil
		before(f.trail)
	}
	err := f.err
	f.err = nil
	if err != nil && !f.lost {
		return err
	}
	encoded, encodeErr := json.Marshal(o)
	if encodeErr != nil {
		return encodeErr
	}
	var sent v1alpha1.AuditTrail
	if err := json.Unmarshal(encoded, &sent); err != nil {
		return err
	}
	if sent.ResourceVersion != f.trail.ResourceVersion || sent.UID != f.trail.UID {
		return apierrors.NewConflict(trailsResource, sent.Name, nil)
	}
	f.trail.Status = sent.Status
	touch(f.trail)
	f.applied = append(f.applied, sent.Status)
	return err
}

func (f fakeTrailStatus) Patch(_ context.Context, event client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patched++
	if f.patchErr != nil {
		return f.patchErr
	}
	event.SetResourceVersion(apijson.FormatVersion(f.onPatch()))
	return nil
}

// writes are the cursors' sequences that were stored, in order.
func (f *fakeTrails) writes() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	sequences := make([]int64, len(f.applied))
	for i := range f.applied {
		sequences[i] = f.applied[i].Delivery.Sequence
	}
	return sequences
}

func (f *fakeTrails) status(t *testing.T) v1alpha1.AuditTrailStatus {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	NewWithT(t).Expect(f.trail).NotTo(BeNil())
	return *f.trail.Status.DeepCopy()
}
