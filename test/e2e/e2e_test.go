package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/truth"
)

const (
	changes       = 1000
	project       = "shop"
	group         = "/audit/e2e"
	plantedSecret = "planted-hunter2"
)

// world is a control plane, an AWS account and two replicas of the operator behind one address.
type world struct {
	t       *testing.T
	env     *testenv.Env
	account *account
	admin   client.Client
	// owner's keys are the trail's, and reader's read back what was delivered.
	owner, reader keys
	operator      *testenv.Operator
}

func TestRecordedIsWhatHappened(t *testing.T) {
	w := newWorld(t)
	g := NewWithT(t)
	byKeys, byRole := w.applyTrails()

	people := w.people()
	names := map[string]bool{}
	for _, p := range people {
		names[p.name] = true
	}
	names["system:serviceaccount:shop:deployer"] = true
	w.change(people, changes/2)
	w.killLeader()
	w.change(people, changes-changes/2)

	entries, err := w.env.AuditLog()
	g.Expect(err).NotTo(HaveOccurred())
	facts, err := truth.Read(entries)
	g.Expect(err).NotTo(HaveOccurred())
	want := w.made(facts, byKeys, names)
	g.Expect(len(want)).To(BeNumerically(">", changes/3), "the workload must change something")

	w.t.Cleanup(func() { w.keepOnFailure(byKeys) })
	for _, trail := range []*v1alpha1.AuditTrail{byKeys, byRole} {
		w.expectEvents(trail, want, names)
		w.expectRecords(trail, want, names)
	}
	w.expectNoSecret(byKeys, byRole)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	g := NewWithT(t)
	w := &world{t: t, account: startAccount(t)}
	w.env = testenv.New(t, testenv.Options{AuditLog: true, ControllerManager: true, Out: testWriter{t}})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	var err error
	w.admin, err = testenv.NewClient(w.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())

	w.owner = w.account.user("trail", basePolicy)
	w.reader = w.account.user("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:GetLogEvents","Resource":"*"}]}`)
	operator := w.account.user("operator", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	w.startReplicas(operator)
	return w
}

// startReplicas runs the built operator twice, as its own service account.
func (w *world) startReplicas(operator keys) {
	w.t.Helper()
	var err error
	w.operator, err = w.env.StartOperator(w.t.Context(), testenv.OperatorOptions{
		Replicas: 2,
		Env:      append(operator.env(), "AWS_ENDPOINT_URL="+w.account.url, "AWS_EC2_METADATA_DISABLED=true"),
		// moto does not read compressed calls (docs/reference/moto.md).
		Args: []string{"--cluster-id=e2e", "--leader-elect-lease-duration=4s", "--compress-deliveries=false"},
	})
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(func() {
		w.operator.Close()
		if !w.t.Failed() {
			return
		}
		for _, path := range w.operator.LogPaths() {
			log, _ := os.ReadFile(path)
			w.t.Logf("%s, its end:\n%s", path, log[max(0, len(log)-6000):])
		}
	})
}

// applyTrails makes a tenant trail with keys and a project trail with a role, and waits until both are Ready under
// enforced IAM.
func (w *world) applyTrails() (byKeys, byRole *v1alpha1.AuditTrail) {
	w.t.Helper()
	g := NewWithT(w.t)
	ctx := w.t.Context()
	role := w.account.role("audit", basePolicy)
	w.account.enforce()
	g.Expect(w.admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: project}})).To(Succeed())

	byKeys = trail(testenv.OperatorNamespace, "by-keys")
	byKeys.Spec.CloudWatch.Auth.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}
	byKeys.Spec.Rules[0].Namespaces = []string{project}
	byRole = trail(project, "by-role")
	byRole.Spec.CloudWatch.Auth.STS = &v1alpha1.STS{RoleARN: role}

	w.shareSecret(byKeys.Namespace, "aws")
	w.grantRole(project, role)
	for _, t := range []*v1alpha1.AuditTrail{byKeys, byRole} {
		// The admission policy hears of the grant a moment later.
		g.Eventually(func() error { return w.admin.Create(ctx, t) }).WithTimeout(30 * time.Second).Should(Succeed())
	}
	for _, t := range []*v1alpha1.AuditTrail{byKeys, byRole} {
		g.Expect(testenv.WaitReady(ctx, w.admin, t, 60*time.Second)).To(Succeed())
	}
	return byKeys, byRole
}

// trail refuses what it cannot record, so that nothing is missed when a replica is killed.
func trail(namespace, name string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type:       v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{Region: region, LogGroupName: group},
			Recording:  v1alpha1.RecordingPolicy{FailurePolicy: v1alpha1.FailurePolicyFail},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges,
				Resources: []v1alpha1.GroupResources{
					{Resources: []string{"configmaps", "secrets"}},
					{Group: "apps", Resources: []string{"deployments", "deployments/scale"}},
				},
			}},
		},
	}
}

// grantRole lets trails of a namespace have the operator assume a role, as an administrator would.
func (w *world) grantRole(namespace, role string) {
	w.t.Helper()
	grants := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "trailkeeper-role-grants"}}
	patch := client.MergeFrom(grants.DeepCopy())
	grants.Data = map[string]string{namespace: role}
	NewWithT(w.t).Expect(w.admin.Patch(w.t.Context(), grants, patch)).To(Succeed())
}

// shareSecret puts the trail's keys into a Secret, and lets the operator read it, as the owner of a namespace would.
func (w *world) shareSecret(namespace, name string) {
	w.t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": w.owner.AccessKeyID + "\n", "AWS_SECRET_ACCESS_KEY": w.owner.SecretAccessKey + "\n",
		},
	}
	rights := testenv.Rights(namespace, name, testenv.OperatorSubject(), testenv.Core("secrets", []string{name}, "get", "list", "watch"))
	NewWithT(w.t).Expect(testenv.Create(w.t.Context(), w.admin, append(rights, secret)...)).To(Succeed())
}

// people are two users and a service account who may edit the project.
func (w *world) people() []person {
	w.t.Helper()
	g := NewWithT(w.t)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: "editors"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: project, Name: "deployer"}},
	}
	var people []person
	for _, name := range []string{"alice", "bob"} {
		config, err := w.env.AddUser(name, "developers")
		g.Expect(err).NotTo(HaveOccurred())
		people = append(people, newPerson(w.t, name, config))
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name})
	}
	g.Expect(w.admin.Create(w.t.Context(), binding)).To(Succeed())
	config, err := w.env.ServiceAccountConfig(w.t.Context(), project, "deployer")
	g.Expect(err).NotTo(HaveOccurred())
	return append(people, newPerson(w.t, "deployer", config))
}

// change has each person make their share of the changes at the same time, from a fixed seed.
func (w *world) change(people []person, count int) {
	var group sync.WaitGroup
	for i, p := range people {
		group.Go(func() {
			load := workload{random: rand.New(rand.NewPCG(uint64(count), uint64(i))), namespace: project}
			for range count/len(people) + 1 {
				load.step(w.t.Context(), p)
			}
		})
	}
	group.Wait()
}

// killLeader ends the leading replica as kill -9 does, in the middle of the changes.
func (w *world) killLeader() {
	w.t.Helper()
	g := NewWithT(w.t)
	leader, err := w.operator.Leader(w.t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	w.t.Logf("killing replica %d, the leader", leader)
	w.operator.Replica(leader).Kill()
}

// keepOnFailure leaves the audit log and the events where somebody can look at them.
func (w *world) keepOnFailure(trail *v1alpha1.AuditTrail) {
	if !w.t.Failed() {
		return
	}
	dir, err := os.MkdirTemp("", "trailkeeper-e2e-")
	if err != nil {
		w.t.Logf("cannot keep anything: %v", err)
		return
	}
	var list v1alpha1.AuditEventList
	_ = w.admin.List(context.WithoutCancel(w.t.Context()), &list, client.InNamespace(trail.Namespace))
	events, _ := json.MarshalIndent(list.Items, "", " ")
	_ = os.WriteFile(filepath.Join(dir, "events.json"), events, 0o600)
	log, _ := os.ReadFile(filepath.Join(w.env.Dir, "audit.log"))
	_ = os.WriteFile(filepath.Join(dir, "audit.log"), log, 0o600)
	w.t.Logf("the events of %s and the audit log are in %s", trail.Name, dir)
}

// made are the facts that people made in the project, and that the trail asks for.
func (w *world) made(facts []truth.Fact, trail *v1alpha1.AuditTrail, people map[string]bool) []truth.Fact {
	wants := truth.Wants(trail, testenv.OperatorNamespace)
	return slices.DeleteFunc(slices.Clone(facts), func(f truth.Fact) bool {
		return f.Namespace != project || !people[f.Users[0]] || !wants(&f)
	})
}

// difference compares claims about the people with what happened.
func difference(want []truth.Fact, claims []truth.Claim, people map[string]bool) string {
	claims = slices.DeleteFunc(claims, func(c truth.Claim) bool { return !people[c.Spec.Actor.Username] })
	d := truth.Compare(want, claims)
	return d.Details(10)
}

// expectEvents compares the trail's AuditEvents with the truth.
func (w *world) expectEvents(trail *v1alpha1.AuditTrail, want []truth.Fact, people map[string]bool) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func() string {
		var list v1alpha1.AuditEventList
		if err := w.admin.List(w.t.Context(), &list, client.InNamespace(trail.Namespace)); err != nil {
			return err.Error()
		}
		return difference(want, truth.Claims(trail, list.Items), people)
	}).WithTimeout(60*time.Second).WithPolling(time.Second).Should(BeEmpty(), "AuditEvents of %s", trail.Name)
}

// expectRecords reads back with the aws command line what CloudWatch Logs has, checks that nothing is missing or
// changed, and compares it with the truth.
func (w *world) expectRecords(trail *v1alpha1.AuditTrail, want []truth.Fact, people map[string]bool) {
	w.t.Helper()
	g := NewWithT(w.t)
	stream := fmt.Sprintf("e2e/%s/%s", trail.Namespace, trail.Name)
	g.Eventually(func() (string, error) {
		var links []ledger.Link
		for _, record := range w.account.records(w.reader, group, stream) {
			link, err := ledger.ReadLink([]byte(record))
			if err != nil {
				return "", err
			}
			links = append(links, link)
		}
		// CloudWatch Logs returns records by their time, which may be some milliseconds out of order where two batches meet.
		slices.SortStableFunc(links, func(x, y ledger.Link) int { return cmp.Compare(x.Sequence, y.Sequence) })
		distinct, repeated, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
		if err != nil {
			return "", err
		}
		var got []truth.Claim
		for i := range distinct {
			claim, err := delivered(&distinct[i])
			if err != nil {
				return "", err
			}
			got = append(got, claim)
		}
		w.t.Logf("%s: %d records, %d of them repeated, %d changes in the audit log", stream, len(links), repeated, len(want))
		return difference(want, got, people), nil
	}).WithTimeout(60*time.Second).WithPolling(2*time.Second).Should(BeEmpty(), "records of %s", stream)
}

// testWriter prints progress into the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
