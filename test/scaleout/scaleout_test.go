package scaleout

import (
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// size is how much happens; the long form has more.
var size = struct {
	// replicas is how many are killed, and how many are frozen.
	trails, replicas int
	// every is how often each of four writers makes a change.
	every time.Duration
}{trails: 12, replicas: 1, every: 200 * time.Millisecond}

func init() {
	if os.Getenv("TRAILKEEPER_SOAK") != "" {
		size.trails, size.replicas, size.every = 30, replicas, 80*time.Millisecond
	}
}

// TestScaleOut changes who delivers while changes are made. The parts share a control plane and follow each other.
func TestScaleOut(t *testing.T) {
	w := newWorld(t, size.trails)
	w.expectShares(3, 3, 2)
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"replicas come and go in good order", (*world).comeAndGo},
		{"trails are made again", (*world).makeAgain},
		{"keys change", (*world).changeKeys},
		{"replicas are killed and frozen", (*world).killAndFreeze},
		{"etcd is restored", (*world).restoreEtcd},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.t = t
			defer func() { w.t = nil }()
			part.run(w)
		})
	}
	w.t = t
}

// comeAndGo: what ends in good order leaves nothing to repeat.
func (w *world) comeAndGo() {
	g := NewWithT(w.t)
	stop := w.work(4, size.every)
	for _, replica := range []int{2, 1} {
		w.operator.Replica(replica).Stop()
	}
	w.expectShares(8, -1, -1)
	w.t.Log("scaled in to one replica")
	for _, replica := range []int{1, 2} {
		g.Expect(w.operator.Start(w.t.Context(), replica)).To(Succeed())
	}
	w.expectShares(3, 3, 2)
	w.t.Log("scaled out to three")
	for replica := range replicas {
		w.operator.Replica(replica).Stop()
		g.Expect(w.operator.Start(w.t.Context(), replica)).To(Succeed())
	}
	w.expectShares(3, 3, 2)
	w.t.Log("restarted one by one")
	stop()
	g.Expect(w.expectLedgers()).To(BeZero())
	g.Expect(w.refused).To(BeZero())
}

// makeAgain deletes trails that have records on the way, and makes them again under the same name: another uid, and so
// mostly another replica, and a chain of its own in the same stream. The deletion waits for what is on the way.
func (w *world) makeAgain() {
	g := NewWithT(w.t)
	for n, trail := range w.trails[:6] {
		for range 20 {
			w.change(w.t.Context(), n)
		}
		g.Expect(w.admin.Delete(w.t.Context(), trail)).To(Succeed())
	}
	for n, trail := range w.trails[:6] {
		g.Eventually(func() error {
			return w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), &v1alpha1.AuditTrail{})
		}).WithTimeout(patience).WithPolling(20 * time.Millisecond).Should(Satisfy(apierrors.IsNotFound))
		names, _ := w.delivered(g, trail)
		for _, name := range w.made[trail.Name] {
			g.Expect(names).To(HaveKey(name), "%s went before everything of it had arrived", trail.Name)
		}
		w.before[trail.Name] += len(w.aws.Events(region, group, trail.Status.LogStreamName))
		w.made[trail.Name] = nil
		w.trails[n] = newTrail(trail.Name)
		g.Expect(w.admin.Create(w.t.Context(), w.trails[n])).To(Succeed())
		w.expectReady(w.trails[n])
		for range 20 {
			w.change(w.t.Context(), n)
		}
	}
	w.expectLedgers()
}

// changeKeys: a trail that another replica than the leader delivers goes on as soon as its Secret has keys that AWS accepts.
func (w *world) changeKeys() {
	g := NewWithT(w.t)
	trail, holder := w.elsewhere()
	counter := fmt.Sprintf("trailkeeper_delivery_retries_total{class=%q,namespace=%q,trail=%q}", "auth", trail.Namespace, trail.Name)
	user := keyUser(trail.Namespace)
	user.AccessKeyID = "AKIAANOTHER000000000"
	w.aws.PutUser(user)
	before := len(w.aws.Events(region, group, trail.Status.LogStreamName))
	w.makeIn(trail.Namespace)
	g.Eventually(func() (float64, error) {
		return w.operator.Replica(holder).Metric(w.t.Context(), counter)
	}).WithTimeout(patience).WithPolling(100*time.Millisecond).Should(BeNumerically(">=", 7), "the pauses have become long")
	g.Expect(w.aws.Events(region, group, trail.Status.LogStreamName)).To(HaveLen(before))
	w.putKeys(user)
	g.Eventually(func() int {
		return len(w.aws.Events(region, group, trail.Status.LogStreamName))
	}).WithTimeout(4*time.Second).WithPolling(50*time.Millisecond).Should(BeNumerically(">", before), "the next try was not due yet")
}

// elsewhere is a trail with keys in a Secret that a replica delivers that does not lead, and that replica.
func (w *world) elsewhere() (trail *v1alpha1.AuditTrail, holder int) {
	w.t.Helper()
	g := NewWithT(w.t)
	leader, err := w.operator.Leader(w.t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	for n := 0; ; n++ {
		trail = w.keyTrail(fmt.Sprintf("keys-%d", n))
		counter := fmt.Sprintf("trailkeeper_delivery_delivered_records_total{namespace=%q,trail=%q}", trail.Namespace, trail.Name)
		holder = -1
		g.Eventually(func(g Gomega) {
			for replica := range replicas {
				delivered, err := w.operator.Replica(replica).Metric(w.t.Context(), counter)
				g.Expect(err).NotTo(HaveOccurred())
				if delivered > 0 {
					holder = replica
				}
			}
			g.Expect(holder).NotTo(Equal(-1))
		}).WithTimeout(patience).WithPolling(100 * time.Millisecond).Should(Succeed())
		if holder != leader {
			return trail, holder
		}
	}
}

func keyUser(name string) cloudsim.User {
	return cloudsim.User{
		Name: name, AccessKeyID: fmt.Sprintf("AKIA%.16s", name+"0000000000000000"), SecretAccessKey: "secret/access+key/of/" + name,
		Policy: cloudsim.Allow("logs:*"),
	}
}

// keyTrail makes a namespace with a Secret that the operator may follow, and a trail that uses it and has delivered a record.
func (w *world) keyTrail(namespace string) *v1alpha1.AuditTrail {
	w.t.Helper()
	g := NewWithT(w.t)
	g.Expect(w.admin.Create(w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	user := keyUser(namespace)
	w.aws.PutUser(user)
	w.putKeys(user)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "trailkeeper"}
	g.Expect(w.admin.Create(w.t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"aws"}, Verbs: []string{"get", "list", "watch"},
	}}})).To(Succeed())
	g.Expect(w.admin.Create(w.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects: []rbacv1.Subject{{
			Kind: rbacv1.ServiceAccountKind, Namespace: testenv.OperatorNamespace, Name: testenv.OperatorServiceAccount,
		}},
	})).To(Succeed())
	trail := newTrail(namespace)
	trail.Namespace = namespace
	trail.Spec.Rules[0].Namespaces = nil
	trail.Spec.CloudWatch.Auth = v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}}
	g.Expect(w.admin.Create(w.t.Context(), trail)).To(Succeed())
	w.expectReady(trail)
	w.makeIn(namespace)
	return trail
}

func (w *world) makeIn(namespace string) {
	w.t.Helper()
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "change-"}}
	NewWithT(w.t).Expect(w.admin.Create(w.t.Context(), object)).To(Succeed())
}

// putKeys makes the user's Secret, or replaces it.
func (w *world) putKeys(user cloudsim.User) {
	w.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: user.Name, Name: "aws"},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey},
	}
	err := w.admin.Create(w.t.Context(), secret)
	if apierrors.IsAlreadyExists(err) {
		err = w.admin.Update(w.t.Context(), secret)
	}
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
}

// killAndFreeze: whoever dies in the middle of a push, or wakes up when others have taken its trails, repeats at most what is
// the same.
func (w *world) killAndFreeze() {
	g := NewWithT(w.t)
	stop := w.work(4, size.every)
	for replica := range size.replicas {
		w.operator.Replica(replica).Kill()
		w.expectShares(4, 4, -1)
		g.Expect(w.operator.Start(w.t.Context(), replica)).To(Succeed())
		w.expectShares(3, 3, 2)
		w.t.Logf("killed replica %d", replica)
	}
	for replica := replicas - size.replicas; replica < replicas; replica++ {
		g.Expect(w.operator.Replica(replica).Pause()).To(Succeed())
		w.expectShares(4, 4, -1)
		g.Expect(w.operator.Replica(replica).Resume()).To(Succeed())
		w.expectShares(3, 3, 2)
		w.t.Logf("froze replica %d", replica)
	}
	stop()
	w.expectLedgers()
}

// restoreEtcd: the API server's history goes back, and with it the cursors, the Leases, and changes whose records had arrived.
// What is left is delivered again under new numbers, and no number is given twice.
func (w *world) restoreEtcd() {
	g := NewWithT(w.t)
	backup, err := w.env.BackUpEtcd(w.t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() error {
		return w.admin.List(w.t.Context(), &v1alpha1.AuditTrailList{})
	}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
	w.expectShares(3, 3, 2)
	for n := range 10 * len(w.trails) {
		w.change(w.t.Context(), n)
	}
	w.expectLedgers()
	for _, trail := range w.trails {
		arrived := len(w.aws.Events(region, group, trail.Status.LogStreamName)) - w.before[trail.Name]
		g.Eventually(func(g Gomega) {
			g.Expect(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
			g.Expect(trail.Status.Delivery.Sequence).To(BeNumerically("<=", arrived))
			g.Expect(trail.Status.Delivery.Pending).To(BeZero())
		}).WithTimeout(patience).WithPolling(200 * time.Millisecond).Should(Succeed())
	}
	g.Expect(w.env.RestoreEtcd(w.t.Context(), backup)).To(Succeed())
	w.t.Log("etcd is restored")
	w.expectShares(3, 3, 2)
	w.again = true
	for n := range 2 * len(w.trails) {
		g.Eventually(func() int {
			before := w.refused
			w.change(w.t.Context(), n)
			return w.refused - before
		}).WithTimeout(patience).WithPolling(time.Second).Should(BeZero(), "recording goes on")
	}
	w.expectLedgers()
}
