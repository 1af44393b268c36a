package plugin_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/internal/cli"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

var consoleAddress = regexp.MustCompile(`Open (http://127\.0\.0\.1:[0-9]+)/#token=(\S+)`)

// console is one that runs until the test ends.
type console struct {
	t            *testing.T
	address, key string
}

// startConsole serves the console as the user whose kubeconfig it is.
func startConsole(t *testing.T, kubeconfig string, args ...string) *console {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var out stream
	done := make(chan int)
	args = append([]string{"console", "--kubeconfig=" + kubeconfig, "--cache-dir=" + t.TempDir()}, args...)
	go func() { done <- cli.Run(ctx, cli.Terminal{Out: &out, Err: io.Discard, Clock: clock.RealClock{}}, args) }()
	t.Cleanup(func() {
		stop()
		NewWithT(t).Expect(<-done).To(BeZero(), "Ctrl-C is how it ends")
	})
	var found []string
	NewWithT(t).Eventually(func() []string {
		found = consoleAddress.FindStringSubmatch(out.String())
		return found
	}, patience).Should(HaveLen(3))
	return &console{t, found[1], found[2]}
}

// get asks it, with a token unless that is empty.
func (c *console) get(path, token, host string) (status int, body string) {
	c.t.Helper()
	g := NewWithT(c.t)
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.address+path, http.NoBody)
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if host != "" {
		request.Host = host
	}
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(read)
}

// testConsole: the page and its calls have the rights of the kubeconfig, for whoever has the token that was printed, and for nobody
// else.
func testConsole(t *testing.T) {
	g := NewWithT(t)
	reader, err := env.AddUser("console-reader")
	g.Expect(err).NotTo(HaveOccurred())
	admin, err := testenv.NewClient(env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	subject := rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "console-reader"}
	view := rbacv1.PolicyRule{APIGroups: []string{"audit.trailkeeper.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list"}}
	g.Expect(testenv.Create(t.Context(), admin, testenv.Rights(shop, "console-reader", subject, view)...)).To(Succeed())

	c := startConsole(t, kubeconfigOf(t, reader, "console-reader"), "--namespace="+shop)
	status, body := c.get("/", "", "")
	g.Expect(status).To(Equal(http.StatusOK))
	g.Expect(body).To(ContainSubstring("<title>"))

	status, body = c.get("/v1alpha1/events?projectUid="+shop, c.key, "")
	g.Expect(status).To(Equal(http.StatusOK), body)
	g.Expect(body).To(ContainSubstring(created))
	status, body = c.get("/v1alpha1/viewer", c.key, "")
	g.Expect(status).To(Equal(http.StatusCreated), body)
	g.Expect(body).To(ContainSubstring("console-reader"))
	status, body = c.get("/v1alpha1/namespaces/"+shop+"/audittrails", c.key, "")
	g.Expect(status).To(Equal(http.StatusOK), body)

	status, _ = c.get("/v1alpha1/events?projectUid="+testenv.OperatorNamespace, c.key, "")
	g.Expect(status).To(Equal(http.StatusForbidden), "the user may not read that")
	for _, path := range []string{"/v1alpha1/events?projectUid=" + shop, "/v1alpha1/viewer", "/v1/audits.csv?projectUid=" + shop} {
		for _, token := range []string{"", "wrong", c.key + "x", strings.ToLower(c.key)} {
			status, body = c.get(path, token, "")
			g.Expect(status).To(Equal(http.StatusUnauthorized), "%s with %q: %s", path, token, body)
		}
		status, _ = c.get(path, c.key, "evil.example.com")
		g.Expect(status).To(Equal(http.StatusMisdirectedRequest), path)
	}
}
