package cloudsim_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	. "github.com/onsi/gomega"
)

// startMoto runs moto_server with signatures and IAM enforced, and makes alice with the base policy.
func startMoto(t *testing.T) contractTarget {
	t.Helper()
	g := NewWithT(t)
	path, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("SKIPPED: the contract was not compared with moto, as moto_server is not on PATH (pip install 'moto[server]')")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	command := exec.CommandContext(ctx, path, "-H", "127.0.0.1", "-p", "0")
	command.Env = append(os.Environ(), "INITIAL_NO_AUTH_ACTION_COUNT=6") // As many as the calls below.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 5 * time.Second
	stderr, err := command.StderrPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(command.Start()).To(Succeed())
	drained := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-drained
		_ = command.Wait() // It was interrupted.
	})
	output := bufio.NewReader(stderr)
	target := contractTarget{url: findURL(output)}
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, output)
	}()
	g.Expect(target.url).NotTo(BeEmpty(), "moto_server ended without saying where it listens")

	target.alice = motoUser(ctx, g, target.url, "alice", basePolicy)
	target.admin = motoUser(ctx, g, target.url, "admin", adminPolicy)
	return target
}

// motoUser makes a user with a policy, in three calls.
func motoUser(ctx context.Context, g *WithT, url, name, policy string) aws.CredentialsProvider {
	iam(ctx, g, url, "CreateUser", "UserName", name)
	iam(ctx, g, url, "PutUserPolicy", "UserName", name, "PolicyName", "p", "PolicyDocument", policy)
	var key struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	g.Expect(xml.Unmarshal(iam(ctx, g, url, "CreateAccessKey", "UserName", name), &key)).To(Succeed())
	return credentials.NewStaticCredentialsProvider(key.ID, key.Secret, "")
}

// findURL reads up to the line in which the server says where it listens.
func findURL(output *bufio.Reader) string {
	running := regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	for {
		line, err := output.ReadString('\n')
		if found := running.FindString(line); found != "" || err != nil {
			return found
		}
	}
}

// iam calls an action while moto does not check signatures yet; it needs one only to tell the service.
func iam(ctx context.Context, g *WithT, endpoint, action string, parameters ...string) []byte {
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x")
	response, err := http.DefaultClient.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.StatusCode).To(Equal(http.StatusOK), "%s: %s", action, body)
	return body
}
