package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	namespace = testenv.OperatorNamespace
	release   = "trailkeeper"
	region    = "eu-west-1"
	logGroup  = "/audit/node"
	clusterID = "node"
	// patience is within which pods start and stop, images are there and replicas take over.
	patience = 3 * time.Minute
	polling  = 200 * time.Millisecond
)

var user = cloudsim.User{
	Name: "trail", AccessKeyID: "AKIANODE000000000001", SecretAccessKey: "a-node-test/secret+access-key-00000000001",
	Policy: cloudsim.Allow("logs:*"),
}

func TestMain(m *testing.M) {
	if os.Getenv("TRAILKEEPER_E2E_IMAGE") == "" {
		fmt.Println("SKIPPED: needs a cluster with nodes; run `make e2e`") //nolint:forbidigo // There is nobody else to tell.
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// rig is the cluster, and AWS as its pods reach it.
type rig struct {
	t      *testing.T
	root   string
	admin  client.Client
	aws    *cloudsim.Simulator
	awsURL string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	g := NewWithT(t)
	root, err := testenv.RepositoryRoot()
	g.Expect(err).NotTo(HaveOccurred())
	settings, err := config.GetConfig()
	g.Expect(err).NotTo(HaveOccurred())
	admin, err := testenv.NewClient(settings)
	g.Expect(err).NotTo(HaveOccurred())
	r := &rig{t: t, root: root, admin: admin, aws: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{user}})}
	address, err := r.address(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	// Not the test's context: deleted trails push what is left while the test cleans up.
	url, stop, err := r.aws.Start(context.WithoutCancel(t.Context()), net.JoinHostPort(address, "0"))
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(stop)
	r.awsURL = url
	return r
}

// address is where pods reach this process.
func (r *rig) address(ctx context.Context) (string, error) {
	if address := os.Getenv("TRAILKEEPER_E2E_ADDRESS"); address != "" {
		return address, nil
	}
	var nodes corev1.NodeList
	if err := r.admin.List(ctx, &nodes); err != nil {
		return "", fmt.Errorf("listing nodes: %w", err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("listing this machine's addresses: %w", err)
	}
	for i := range nodes.Items {
		for _, address := range nodes.Items[i].Status.Addresses {
			for _, each := range own {
				if network, ok := each.(*net.IPNet); ok && address.Type == corev1.NodeInternalIP && network.Contains(net.ParseIP(address.Address)) {
					return network.IP.String(), nil
				}
			}
		}
	}
	return "", errors.New("no address of this machine is in the network of a node: set TRAILKEEPER_E2E_ADDRESS")
}

// helm runs Helm, with nothing of the user's own but the kubeconfig.
func (r *rig) helm(arguments ...string) {
	r.t.Helper()
	program := os.Getenv("TRAILKEEPER_HELM")
	if program == "" {
		program = filepath.Join(r.root, "bin", "helm")
	}
	dir := r.t.TempDir()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), 2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, append(arguments, "--namespace="+namespace)...)
	command.Dir = r.root
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir, "HELM_DATA_HOME="+dir)
	output, err := command.CombinedOutput()
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred(), "helm %v: %s", arguments, bytes.TrimSpace(output))
}
