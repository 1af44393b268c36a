package console_test

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/console"
	"github.com/trailkeeper/trailkeeper/internal/query/httpapi"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which whatever the page or the API server does has to show.
	patience = 30 * time.Second
	tenant   = testenv.OperatorNamespace
)

// world is one control plane, and one server of the page, for all tests of this package.
var world struct {
	env      *testenv.Env
	admin    client.Client
	operator client.Client
	server   *httptest.Server
	// trails are those that recorded the fixtures, by their namespaces.
	trails map[string]*v1alpha1.AuditTrail
	// tokens are those of the viewers that the tests sign in as.
	tokens map[string]string
}

func TestMain(m *testing.M) {
	if browserPath() == "" {
		os.Exit(m.Run()) // Each test says that it is skipped, or fails.
	}
	testenv.Main(m, testenv.Options{ControllerManager: true}, build)
}

// build makes the operator's rights, viewers, events and trails, and serves the page.
func build(ctx context.Context, env *testenv.Env) error {
	log.SetLogger(logr.Discard())
	world.env = env
	if err := world.env.InstallOperator(ctx); err != nil {
		return err
	}
	operator, err := world.env.ServiceAccountConfig(ctx, tenant, testenv.OperatorServiceAccount)
	if err != nil {
		return err
	}
	if world.operator, err = testenv.NewClient(operator); err != nil {
		return err
	}
	if world.admin, err = testenv.NewClient(world.env.Admin()); err != nil {
		return err
	}
	if err := addViewers(ctx); err != nil {
		return err
	}
	if err := addFixtures(ctx); err != nil {
		return err
	}
	page, err := console.New(console.Options{Config: operator, Namespace: tenant})
	if err != nil {
		return err
	}
	handler, err := httpapi.New(httpapi.Options{
		Config: operator, Trails: world.operator, Chunks: world.operator, Namespace: tenant, ClusterID: "cluster", Page: page,
	})
	if err != nil {
		return err
	}
	world.server = httptest.NewServer(handler)
	env.Defer(world.server.Close)
	return nil
}

// addViewers makes service accounts with rights as people have them: an editor of everything, a viewer of the project shop, and
// nobody in particular.
func addViewers(ctx context.Context) error {
	world.tokens = map[string]string{}
	if err := testenv.Create(ctx, world.admin, namespace("people"), namespace("shop")); err != nil {
		return err
	}
	for _, name := range []string{"olivia", "sam", "nobody"} {
		config, err := world.env.ServiceAccountConfig(ctx, "people", name)
		if err != nil {
			return err
		}
		world.tokens[name] = config.BearerToken
	}
	subject := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "people", Name: name}}
	}
	role := func(name string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
	}
	return testenv.Create(ctx, world.admin,
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "olivia"}, Subjects: subject("olivia"), RoleRef: role("edit")},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "sam"}, Subjects: subject("sam"), RoleRef: role("view")},
	)
}

// eventually waits until an expression of the page is true.
func eventually(t *testing.T, b *browser, expression string) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), func() (bool, error) {
		return within(b, chromedp.Evaluate[bool]("Boolean("+expression+")"))
	}).WithTimeout(patience).WithPolling(50*time.Millisecond).Should(BeTrue(), func() string {
		shown, _ := within(b, chromedp.Evaluate[string](`(document.querySelector("dialog") ?? document.querySelector("main")).innerText.slice(0, 1500)`))
		return expression + "\nThe page shows:\n" + shown
	})
}
