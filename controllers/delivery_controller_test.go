package controllers

import (
	"context"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/follow"
)

// replica is what a DeliveryReconciler tells its replica to do.
type replica struct {
	held     map[types.UID]bool
	served   map[types.NamespacedName]types.UID
	followed map[types.NamespacedName][]follow.Object
	// did are the steps in order.
	did []string
}

func (r *replica) Holds(trail types.UID) bool { return r.held[trail] }

func (r *replica) Serve(_ context.Context, trail *v1alpha1.AuditTrail) error {
	r.did = append(r.did, "serve "+trail.Name)
	r.served[client.ObjectKeyFromObject(trail)] = trail.UID
	return nil
}

func (r *replica) Stop(trail types.NamespacedName) { delete(r.served, trail) }

func (r *replica) Wake(trail types.NamespacedName) { r.did = append(r.did, "wake "+trail.Name) }

func (r *replica) Borrows(trail *v1alpha1.AuditTrail) bool {
	return trail.Spec.CloudWatch.Auth.STS != nil
}

func (r *replica) Follow(_ context.Context, trail types.NamespacedName, objects ...follow.Object) {
	r.did = append(r.did, "follow "+trail.Name)
	r.followed[trail] = objects
}

func (r *replica) Forget(trail types.NamespacedName) { delete(r.followed, trail) }

func (r *replica) Changed(_ context.Context, trail *v1alpha1.AuditTrail) {
	r.did = append(r.did, "forget "+trail.Name)
}

func newDeliveryRig(t *testing.T, trails ...client.Object) (*replica, *DeliveryReconciler, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	NewWithT(t).Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(trails...).Build()
	r := &replica{
		held: map[types.UID]bool{}, served: map[types.NamespacedName]types.UID{},
		followed: map[types.NamespacedName][]follow.Object{},
	}
	return r, &DeliveryReconciler{
		Reader: c, Deliverer: r, Identities: r, Follower: r,
		Forget: func(_, trail string) { r.did = append(r.did, "drop metrics of "+trail) },
	}, c
}

func namedTrail(name string) *v1alpha1.AuditTrail {
	trail := cloudWatchTrail("shop")
	trail.ObjectMeta = metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid of " + name)}
	return trail
}

// TestAReplicaServesWhatItHolds, and follows what that refers to: the leader may be another replica.
func TestAReplicaServesWhatItHolds(t *testing.T) {
	g := NewWithT(t)
	trail := namedTrail("a")
	r, reconciler, c := newDeliveryRig(t, trail)
	key := client.ObjectKeyFromObject(trail)
	run := func() reconcile.Result {
		result, err := reconciler.Reconcile(t.Context(), reconcile.Request{NamespacedName: key})
		g.Expect(err).NotTo(HaveOccurred())
		return result
	}
	g.Expect(run()).To(BeZero())
	g.Expect(r.served).To(BeEmpty())
	g.Expect(r.followed).To(BeEmpty())

	r.held[trail.UID] = true
	g.Expect(run().RequeueAfter).To(Equal(serveEvery))
	g.Expect(r.did).To(Equal([]string{"follow a", "serve a"}), "what is read later must not have changed unnoticed")
	g.Expect(r.followed[key]).To(Equal(references(trail)))

	// Made again under its name, it is another replica's.
	g.Expect(c.Delete(t.Context(), trail)).To(Succeed())
	again := namedTrail("a")
	again.UID = "another"
	g.Expect(c.Create(t.Context(), again)).To(Succeed())
	g.Expect(run()).To(BeZero())
	g.Expect(r.served).To(BeEmpty())
	g.Expect(r.followed).To(BeEmpty())

	r.held[again.UID] = true
	run()
	g.Expect(r.served).To(HaveKeyWithValue(key, again.UID))
	g.Expect(c.Delete(t.Context(), again)).To(Succeed())
	run()
	g.Expect(r.served).To(BeEmpty())
	g.Expect(r.followed).To(BeEmpty())
	g.Expect(r.did).To(ContainElement("drop metrics of a"))
}

// TestWhatChangedIsTriedAgain: keys of before the change must not be used.
func TestWhatChangedIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	keys, role := namedTrail("keys"), namedTrail("role")
	role.Spec.CloudWatch.Auth = v1alpha1.Auth{STS: &v1alpha1.STS{RoleARN: auditRole}}
	r, reconciler, _ := newDeliveryRig(t, keys, role)
	reconciler.IdentityChanged(t.Context(), client.ObjectKeyFromObject(keys))
	g.Expect(r.did).To(Equal([]string{"forget keys", "wake keys"}))

	r.did = nil
	g.Expect(reconciler.grantsChanged(t.Context(), nil)).To(BeEmpty())
	g.Expect(r.did).To(Equal([]string{"wake role"}))
	g.Expect(reconciler.everyTrail(t.Context(), nil)).To(HaveLen(2))
}
