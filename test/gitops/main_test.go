package gitops

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	// patience is within which the control plane and the operator act.
	patience  = 90 * time.Second
	polling   = 100 * time.Millisecond
	clusterID = "gitops"
)

// teams are those of the samples.
var teams = []string{"shop", "payments"}

var identity = cloudsim.User{
	Name: "operator", AccessKeyID: "AKIAGITOPS0000000001", SecretAccessKey: "a-gitops-test/secret+access-key-00000001",
	Policy: cloudsim.Allow("logs:*", "sts:AssumeRole"),
}

// env and admin serve all tests of this package.
var (
	env   *testenv.Env
	admin client.Client
)

func TestMain(m *testing.M) {
	testenv.Main(m, testenv.Options{ControllerManager: true}, func(ctx context.Context, made *testenv.Env) (err error) {
		env = made
		if err = env.InstallOperator(ctx); err != nil {
			return err
		}
		admin, err = testenv.NewClient(env.Admin())
		return err
	})
}

// strict is an administrator who has unknown fields refused.
func strict(g *WithT) client.Client {
	c, err := client.New(env.Admin(), client.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	return client.WithFieldValidation(c, "Strict")
}

// startOperator runs the operator beside an AWS that has the teams' roles, granted as the sample grants them.
func startOperator(t *testing.T) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	aws := cloudsim.New(cloudsim.Options{AccountID: account, Users: []cloudsim.User{identity}})
	for _, team := range teams {
		aws.PutRole(cloudsim.Role{Name: "audit/" + team, Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
			Principals: []string{"arn:aws:iam::" + account + ":user/" + identity.Name}, ExternalID: clusterID + "/" + team,
		}})
		g.Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: team}})).To(Succeed())
	}
	grants, err := env.Render(ctx, samples+"/operator/grants.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(env.Apply(ctx, grants...)).To(Succeed())
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	operator, err := env.StartOperator(ctx, testenv.OperatorOptions{
		Replicas: 1,
		Args:     []string{"--cluster-id=" + clusterID, "--drain-timeout=5s"},
		Env:      testenv.AWSEnv(server.URL, identity.AccessKeyID, identity.SecretAccessKey),
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(operator.Close)
}

// account is that of the samples.
const account = "123456789012"

func roleARN(team string) string { return "arn:aws:iam::" + account + ":role/audit/" + team }
