package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// region is where the tests' log groups are.
const region = "eu-west-1"

// basePolicy is the published one: exactly six actions.
const basePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":[
	"logs:DescribeLogGroups","logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents",
	"logs:DeleteLogStream","logs:DescribeLogStreams"]}]}`

// keys are an IAM user's access keys.
type keys struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
}

func (k keys) env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + k.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + k.SecretAccessKey}
}

// account is a moto server that evaluates signatures and IAM policies.
type account struct {
	t    *testing.T
	url  string
	root keys
}

// program finds a program on the PATH, or in the virtual environment that `make test` makes.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	root, err := testenv.RepositoryRoot()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(root, "bin", "moto", "bin", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("TRAILKEEPER_REQUIRE_MOTO") != "" {
			t.Fatalf("%s is missing and required: install the Python packages moto[server] and awscli", name)
		}
		t.Skipf("SKIPPED, NOTHING WAS TESTED END TO END: %s is missing: install the Python packages moto[server] and awscli", name)
	}
	return path
}

// startAccount starts moto. Until enforce is called, everything is allowed.
func startAccount(t *testing.T) *account {
	t.Helper()
	g := NewWithT(t)
	ports, err := testenv.FreePorts(t.Context(), 1)
	g.Expect(err).NotTo(HaveOccurred())
	server := exec.CommandContext(t.Context(), program(t, "moto_server"), "-H", "127.0.0.1", "-p", ports[0])
	server.Env = append(os.Environ(), "INITIAL_NO_AUTH_ACTION_COUNT=1000000")
	var log bytes.Buffer
	server.Stdout, server.Stderr = &log, &log
	server.Cancel = func() error { return server.Process.Kill() }
	g.Expect(server.Start()).To(Succeed())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	a := &account{t: t, url: "http://127.0.0.1:" + ports[0], root: keys{"AKIAROOTROOTROOTROOT", "root"}}
	g.Eventually(func() error {
		response, err := http.Get(a.url + "/moto-api/") //nolint:noctx // A probe of a server of the test's own.
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}).WithTimeout(60 * time.Second).Should(Succeed())
	return a
}

// enforce makes moto evaluate every further request.
func (a *account) enforce() {
	a.t.Helper()
	g := NewWithT(a.t)
	response, err := http.Post(a.url+"/moto-api/reset-auth", "text/plain", strings.NewReader("0")) //nolint:noctx // As above.
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	g.Expect(response.StatusCode).To(Equal(http.StatusOK))
}

// aws runs the aws command line as somebody and decodes what it prints.
func (a *account) aws(as keys, into any, args ...string) {
	a.t.Helper()
	output, err := a.tryAWS(as, args...)
	NewWithT(a.t).Expect(err).NotTo(HaveOccurred())
	if into != nil {
		NewWithT(a.t).Expect(json.Unmarshal(output, into)).To(Succeed())
	}
}

func (a *account) tryAWS(as keys, args ...string) ([]byte, error) {
	command := exec.CommandContext(a.t.Context(), program(a.t, "aws"),
		append([]string{"--endpoint-url", a.url, "--region", region, "--output", "json"}, args...)...)
	command.Env = append(os.Environ(), as.env()...)
	command.Env = append(command.Env, "AWS_PAGER=")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return output, nil
}

// user makes an IAM user with one inline policy.
func (a *account) user(name, policy string) keys {
	a.t.Helper()
	a.aws(a.root, nil, "iam", "create-user", "--user-name", name)
	a.aws(a.root, nil, "iam", "put-user-policy", "--user-name", name, "--policy-name", "p", "--policy-document", policy)
	var answer struct{ AccessKey keys }
	a.aws(a.root, &answer, "iam", "create-access-key", "--user-name", name)
	return answer.AccessKey
}

// role makes an IAM role with one inline policy that everybody in the account may assume.
func (a *account) role(name, policy string) string {
	a.t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`
	var answer struct{ Role struct{ Arn string } }
	a.aws(a.root, &answer, "iam", "create-role", "--role-name", name, "--assume-role-policy-document", trust)
	a.aws(a.root, nil, "iam", "put-role-policy", "--role-name", name, "--policy-name", "p", "--policy-document", policy)
	return answer.Role.Arn
}

// records reads back everything that was delivered to a stream.
func (a *account) records(as keys, group, stream string) []string {
	a.t.Helper()
	var messages []string
	token := ""
	for {
		args := []string{"logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream, "--start-from-head"}
		if token != "" {
			args = append(args, "--next-token", token)
		}
		var page struct {
			Events           []struct{ Message string } `json:"events"`
			NextForwardToken string                     `json:"nextForwardToken"`
		}
		a.aws(as, &page, args...)
		for _, event := range page.Events {
			messages = append(messages, event.Message)
		}
		if len(page.Events) == 0 || page.NextForwardToken == token {
			return messages
		}
		token = page.NextForwardToken
	}
}
