package testenv

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// authorizerDelay is within which the API server acts on a new role binding.
const authorizerDelay = 10 * time.Second

func TestAUsersChangeIsInTheAuditLog(t *testing.T) {
	g := NewWithT(t)
	env := New(t, Options{AuditLog: true, Out: t.Output()})
	alice, err := env.AddUser("alice", "developers")
	g.Expect(err).NotTo(HaveOccurred())
	bind(t, env, "edit", rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "alice"})

	_, err = clientsOf(t, alice).CoreV1().ConfigMaps("default").Create(t.Context(), configMap("colors"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	created := changesBy(t, env, "alice")
	g.Expect(created).To(HaveLen(1))
	g.Expect(created[0].Verb).To(Equal("create"))
	g.Expect(created[0].User.Groups).To(ContainElements("developers", "system:authenticated"))
	g.Expect(created[0].ObjectRef).To(Equal(AuditObject{
		APIVersion: "v1", Resource: "configmaps", Namespace: "default", Name: "colors",
	}))
	g.Expect(created[0].ResponseStatus.Code).To(Equal(http.StatusCreated))
	g.Expect(string(created[0].RequestObject)).To(ContainSubstring("teal"))
	g.Expect(created[0].RequestReceivedTimestamp).NotTo(BeZero())
}

func TestAServiceAccountHasItsOwnRights(t *testing.T) {
	g := NewWithT(t)
	env := New(t, Options{AuditLog: true})
	config, err := env.ServiceAccountConfig(t.Context(), "default", "robot")
	g.Expect(err).NotTo(HaveOccurred())
	configMaps := clientsOf(t, config).CoreV1().ConfigMaps("default")

	_, err = configMaps.Create(t.Context(), configMap("before"), metav1.CreateOptions{})
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "got %v", err)

	bind(t, env, "edit", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "robot"})
	_, err = configMaps.Create(t.Context(), configMap("after"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	changes := changesBy(t, env, "system:serviceaccount:default:robot")
	g.Expect(changes).To(HaveLen(2))
	g.Expect(changes[0].ResponseStatus.Code).To(Equal(http.StatusForbidden))
	g.Expect(changes[1].ResponseStatus.Code).To(Equal(http.StatusCreated))
}

func TestWhatWasStoredSurvivesARestart(t *testing.T) {
	g := NewWithT(t)
	env := New(t, Options{WithoutCRDs: true})
	configMaps := clientsOf(t, env.Admin()).CoreV1().ConfigMaps("default")
	_, err := configMaps.Create(t.Context(), configMap("kept"), metav1.CreateOptions{})
	g.Expect(err).NotTo(HaveOccurred())

	env.StopAPIServer()
	env.StopEtcd()
	_, err = configMaps.Get(t.Context(), "kept", metav1.GetOptions{})
	g.Expect(err).To(HaveOccurred(), "nothing should answer while the control plane is down")
	g.Expect(env.StartEtcd(t.Context())).To(Succeed())
	g.Expect(env.StartAPIServer(t.Context())).To(Succeed())

	_, err = configMaps.Get(t.Context(), "kept", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
}

func TestStopLeavesNothingBehind(t *testing.T) {
	g := NewWithT(t)
	env, err := Start(t.Context(), Options{WithoutCRDs: true})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(env.Dir).To(BeADirectory())
	processes := []*os.Process{env.etcd.cmd.Process, env.apiServer.cmd.Process}

	g.Expect(env.Stop()).To(Succeed())

	g.Expect(env.Dir).NotTo(BeAnExistingFile())
	for _, p := range processes {
		g.Expect(p.Signal(os.Interrupt)).To(MatchError(os.ErrProcessDone))
	}
	g.Expect(env.Stop()).To(Succeed(), "stopping twice does no harm")
}

func TestParseAuditLogLeavesOutTheLineBeingWritten(t *testing.T) {
	for _, test := range []struct {
		name, log string
		want      []string
		wantErr   string
	}{
		{name: "empty", log: "", want: []string{}},
		{name: "whole lines", log: `{"auditID":"a"}` + "\n" + `{"auditID":"b"}` + "\n", want: []string{"a", "b"}},
		{name: "unfinished last line", log: `{"auditID":"a"}` + "\n" + `{"auditID":"b`, want: []string{"a"}},
		{name: "broken line", log: `{"auditID":"a"}` + "\n" + `{"aud` + "\n", wantErr: "line 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			entries, err := parseAuditLog([]byte(test.log))
			if test.wantErr != "" {
				g.Expect(err).To(MatchError(ContainSubstring(test.wantErr)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			ids := make([]string, 0, len(entries))
			for _, entry := range entries {
				ids = append(ids, entry.AuditID)
			}
			g.Expect(ids).To(Equal(test.want))
		})
	}
}

// changesBy are the requests of a user that asked for a change, in order.
func changesBy(t *testing.T, env *Env, username string) []AuditEntry {
	t.Helper()
	entries, err := env.AuditLog()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var changes []AuditEntry
	for _, entry := range entries {
		if entry.User.Username == username && entry.Verb == "create" {
			changes = append(changes, entry)
		}
	}
	return changes
}

func bind(t *testing.T, env *Env, clusterRole string, subject rbacv1.Subject) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: clusterRole + "-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{subject},
	}
	// Without kube-controller-manager nothing aggregates the built-in roles, so the part that has the rules is bound.
	binding.RoleRef.Name = "system:aggregate-to-" + clusterRole
	_, err := clientsOf(t, env.Admin()).RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Eventually(t.Context(), func() error {
		return canCreateConfigMaps(t, env, subject)
	}).WithTimeout(authorizerDelay).Should(Succeed())
}

// canCreateConfigMaps asks the API server's authorizer, which learns of a new binding a moment after it was made.
func canCreateConfigMaps(t *testing.T, env *Env, subject rbacv1.Subject) error {
	t.Helper()
	username := subject.Name
	if subject.Kind == rbacv1.ServiceAccountKind {
		username = "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: username,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: "default", Verb: "create", Resource: "configmaps",
		},
	}}
	answer, err := clientsOf(t, env.Admin()).AuthorizationV1().SubjectAccessReviews().
		Create(t.Context(), review, metav1.CreateOptions{})
	if err == nil && !answer.Status.Allowed {
		err = fmt.Errorf("%s may not create ConfigMaps yet", username)
	}
	return err
}

func clientsOf(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	clients, err := kubernetes.NewForConfig(config)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return clients
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"favourite": "teal"}}
}
