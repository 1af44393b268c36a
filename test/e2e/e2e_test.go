package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
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
	replicas      map[string]*testenv.Manager
	balancer      *balancer
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
	want, err := truth(entries, project, names)
	g.Expect(err).NotTo(HaveOccurred())
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
	w := &world{t: t, account: startAccount(t), replicas: map[string]*testenv.Manager{}}
	w.env = testenv.New(t, testenv.Options{AuditLog: true, ControllerManager: true, Out: testWriter{t}})
	g.Expect(w.env.InstallOperator(t.Context())).To(Succeed())
	w.admin = newClient(t, w.env)

	w.owner = w.account.user("trail", basePolicy)
	w.reader = w.account.user("reader", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:GetLogEvents","Resource":"*"}]}`)
	operator := w.account.user("operator", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}]}`)
	w.startReplicas(operator)
	return w
}

func newClient(t *testing.T, env *testenv.Env) client.Client {
	t.Helper()
	g := NewWithT(t)
	scheme := runtime.NewScheme()
	g.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	g.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	c, err := client.New(env.Admin(), client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

// startReplicas runs the built operator twice, as its own service account.
func (w *world) startReplicas(operator keys) {
	w.t.Helper()
	g := NewWithT(w.t)
	ctx := w.t.Context()
	path, err := w.env.BuildManager(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	config, err := w.env.ServiceAccountConfig(ctx, testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	g.Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := w.env.WriteKubeconfig(config, "operator")
	g.Expect(err).NotTo(HaveOccurred())
	ports, err := testenv.FreePorts(2)
	g.Expect(err).NotTo(HaveOccurred())
	w.balancer = newBalancer(w.t, ports)
	for i, name := range []string{"a", "b"} {
		manager, err := w.env.StartManager(ctx, testenv.ManagerOptions{
			Name: name, Path: path, Kubeconfig: kubeconfig,
			WebhookURL:  "https://" + w.balancer.address,
			WebhookBind: "127.0.0.1:" + ports[i],
			Env:         append(operator.env(), "AWS_ENDPOINT_URL="+w.account.url, "AWS_EC2_METADATA_DISABLED=true"),
			Args:        []string{"--cluster-id=e2e", "--leader-elect-lease-duration=4s"},
		})
		g.Expect(err).NotTo(HaveOccurred())
		w.replicas[name] = manager
		w.t.Cleanup(func() {
			manager.Kill()
			if w.t.Failed() {
				log, _ := os.ReadFile(manager.LogPath())
				w.t.Logf("log of replica %s, its end:\n%s", name, log[max(0, len(log)-6000):])
			}
		})
	}
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
		g.Eventually(func(g Gomega) {
			g.Expect(w.admin.Get(ctx, client.ObjectKeyFromObject(t), t)).To(Succeed())
			g.Expect(meta.IsStatusConditionTrue(t.Status.Conditions, v1alpha1.ReadyCondition)).To(BeTrue(), "%+v", t.Status.Conditions)
		}).WithTimeout(60 * time.Second).WithPolling(200 * time.Millisecond).Should(Succeed())
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
	object := metav1.ObjectMeta{Namespace: namespace, Name: name}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: object, StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": w.owner.AccessKeyID + "\n", "AWS_SECRET_ACCESS_KEY": w.owner.SecretAccessKey + "\n",
		}},
		&rbacv1.Role{ObjectMeta: object, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{name}, Verbs: []string{"get", "list", "watch"},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: object,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects: []rbacv1.Subject{{
				Kind: rbacv1.ServiceAccountKind, Namespace: testenv.OperatorNamespace, Name: testenv.OperatorServiceAccount,
			}},
		},
	} {
		NewWithT(w.t).Expect(w.admin.Create(w.t.Context(), o)).To(Succeed())
	}
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
	var lease coordinationv1.Lease
	key := client.ObjectKey{Namespace: testenv.OperatorNamespace, Name: "trailkeeper-leader"}
	g.Expect(w.admin.Get(w.t.Context(), key, &lease)).To(Succeed())
	for name, manager := range w.replicas {
		log, err := os.ReadFile(manager.LogPath())
		g.Expect(err).NotTo(HaveOccurred())
		if strings.Contains(string(log), "Leading the delivery") {
			w.t.Logf("killing replica %s, the leader %s", name, *lease.Spec.HolderIdentity)
			manager.Kill()
			return
		}
	}
	w.t.Fatal("no replica says that it leads")
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

// expectEvents compares the trail's AuditEvents with the truth.
func (w *world) expectEvents(trail *v1alpha1.AuditTrail, want []fact, people map[string]bool) {
	w.t.Helper()
	NewWithT(w.t).Eventually(func() string {
		var list v1alpha1.AuditEventList
		if err := w.admin.List(w.t.Context(), &list, client.InNamespace(trail.Namespace)); err != nil {
			return err.Error()
		}
		var got []fact
		for i := range list.Items {
			f := factOf(&list.Items[i].Spec)
			if people[f.user] && list.Items[i].Status.Outcome != v1alpha1.OutcomeNotPersisted {
				got = append(got, f)
			}
		}
		return difference(want, got)
	}).WithTimeout(60*time.Second).WithPolling(time.Second).Should(BeEmpty(), "AuditEvents of %s", trail.Name)
}

// expectRecords reads back with the aws command line what CloudWatch Logs has, checks that nothing is missing or
// changed, and compares it with the truth.
func (w *world) expectRecords(trail *v1alpha1.AuditTrail, want []fact, people map[string]bool) {
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
		distinct, repeated, err := ledger.Check(ledger.Genesis(string(trail.UID)), links)
		if err != nil {
			return "", err
		}
		var got []fact
		for i := range distinct {
			f, persisted, err := delivered(&distinct[i])
			if err != nil {
				return "", err
			}
			if persisted && people[f.user] {
				got = append(got, f)
			}
		}
		w.t.Logf("%s: %d records, %d of them repeated, %d changes that stuck, %d in the audit log",
			stream, len(links), repeated, len(got), len(want))
		return difference(want, got), nil
	}).WithTimeout(60*time.Second).WithPolling(2*time.Second).Should(BeEmpty(), "records of %s", stream)
}

// balancer passes connections on to whichever replica answers, as a Service does.
type balancer struct {
	address string
	ports   []string
}

func newBalancer(t *testing.T, ports []string) *balancer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // Closed at the end of the test.
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	b := &balancer{address: listener.Addr().String(), ports: ports}
	var connections sync.WaitGroup
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for turn := 0; ; turn++ {
			incoming, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { b.pass(t.Context(), incoming, turn) })
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-accepting
		connections.Wait()
	})
	return b
}

func (b *balancer) pass(ctx context.Context, incoming net.Conn, turn int) {
	defer func() { _ = incoming.Close() }()
	for i := range b.ports {
		outgoing, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+b.ports[(turn+i)%len(b.ports)])
		if err != nil {
			continue
		}
		defer func() { _ = outgoing.Close() }()
		copyBoth(ctx, incoming, outgoing)
		return
	}
}

// testWriter prints progress into the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
