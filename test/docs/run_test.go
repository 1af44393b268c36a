package docs

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// patience is how long a block may take.
const patience = 2 * time.Minute

var identity = cloudsim.User{
	Name: "trailkeeper", AccessKeyID: "AKIADOCUMENTS0000001", SecretAccessKey: "a-documentation/secret+access-key-000001",
	Policy: cloudsim.Allow("logs:*"),
}

// reader is somebody who follows the documentation, beside a control plane, the operator and an AWS.
type reader struct {
	t          *testing.T
	env        *testenv.Env
	admin      client.Client
	operator   *testenv.Operator
	dir        string
	kubeconfig string
	blocks     []block
}

// From keys to events that are read, and out of it when the operator is gone.
func TestBlocksDoWhatTheySay(t *testing.T) {
	r := newReader(t)
	g := NewWithT(t)
	key := `{"UserName":"trailkeeper","AccessKeyId":"` + identity.AccessKeyID + `","SecretAccessKey":"` + identity.SecretAccessKey + `"}`
	g.Expect(os.WriteFile(filepath.Join(r.dir, "key.json"), []byte(key), 0o600)).To(Succeed())
	r.run("docs/getting-started.md", "create secret generic aws-credentials")
	g.Expect(filepath.Join(r.dir, "key.json")).NotTo(BeAnExistingFile(), "the key was left behind")
	g.Expect(r.run("docs/getting-started.md", "wait audittrail/tenant")).To(ContainSubstring("eu-west-1:/audit/tenant"))

	trail := &v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Namespace: testenv.OperatorNamespace, Name: "tenant"}}
	g.Expect(r.admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed())
	g.Eventually(func() (bool, error) { // The API server acts on the webhook configuration a moment later.
		return testenv.Probe(t.Context(), r.admin, trail, metav1.NamespaceDefault)
	}).WithTimeout(patience).WithPolling(time.Second).Should(BeTrue())
	g.Expect(r.run("docs/getting-started.md", "create configmap hello")).To(MatchRegexp(`(?m)Update +ConfigMap +default +hello .*Trying the audit trail`))

	r.operator.Close()
	g.Expect(r.admin.Delete(t.Context(), trail)).To(Succeed())
	g.Expect(r.admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail)).To(Succeed(), "a finalizer holds it")
	r.run("docs/install.md", `{"metadata":{"finalizers":null}}`)
	g.Expect(client.IgnoreNotFound(r.admin.Get(t.Context(), client.ObjectKeyFromObject(trail), trail))).To(Succeed())
	var trails v1alpha1.AuditTrailList
	g.Expect(r.admin.List(t.Context(), &trails)).To(Succeed())
	g.Expect(trails.Items).To(BeEmpty())
}

func newReader(t *testing.T) *reader {
	t.Helper()
	g := NewWithT(t)
	_, err := exec.LookPath("jq")
	g.Expect(err).NotTo(HaveOccurred(), "the documentation uses jq: install it")
	_, blocks := readBlocks(t)
	r := &reader{t: t, dir: t.TempDir(), blocks: blocks}
	server := httptest.NewServer(cloudsim.New(cloudsim.Options{Users: []cloudsim.User{identity}}))
	t.Cleanup(server.Close)
	r.env = testenv.New(t, testenv.Options{ControllerManager: true})
	g.Expect(r.env.InstallOperator(t.Context())).To(Succeed())
	r.admin, err = testenv.NewClient(r.env.Admin())
	g.Expect(err).NotTo(HaveOccurred())
	r.kubeconfig, err = r.env.WriteKubeconfig(r.env.Admin(), "reader")
	g.Expect(err).NotTo(HaveOccurred())
	r.operator, err = r.env.StartOperator(t.Context(), testenv.OperatorOptions{
		Replicas: 1, Args: []string{"--cluster-id=docs"}, Env: []string{"AWS_ENDPOINT_URL=" + server.URL},
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(r.operator.Close)
	return r
}

// run runs the one block of a page that has a text in it, and returns what it prints.
func (r *reader) run(page, with string) string {
	r.t.Helper()
	g := NewWithT(r.t)
	var found []block
	for _, block := range r.blocks {
		if block.page == page && strings.Contains(block.text, with) {
			found = append(found, block)
		}
	}
	g.Expect(found).To(HaveLen(1), "blocks of %s with %s", page, with)
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail")
	command.Dir = r.dir
	command.Stdin = strings.NewReader(found[0].text)
	command.Env = append(os.Environ(), "KUBECONFIG="+r.kubeconfig, "PATH="+filepath.Dir(r.env.Kubectl())+":"+os.Getenv("PATH"))
	output, err := command.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), "%s, %s: %s", page, found[0].heading, output)
	return string(output)
}
