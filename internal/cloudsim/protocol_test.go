package cloudsim_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestBadRequests is what no SDK would send.
func TestBadRequests(t *testing.T) {
	r := start(t, cloudsim.Options{})
	logs := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"Logs_20140328.DescribeLogGroups"}}
	with := func(name, value string) http.Header {
		header := logs.Clone()
		header.Set(name, value)
		return header
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	cases := map[string]struct {
		method, path, body string
		header             http.Header
		status             int
		answer             string
	}{
		"a GET":              {http.MethodGet, "/", "", nil, 400, "UnknownOperationException"},
		"another path":       {http.MethodPost, "/x", "", logs, 400, "UnknownOperationException"},
		"another service":    {http.MethodPost, "/", "{}", with("X-Amz-Target", "DynamoDB_20120810.ListTables"), 400, "UnknownOperationException"},
		"unknown action":     {http.MethodPost, "/", "{}", with("X-Amz-Target", "Logs_20140328.TestMetricFilter"), 400, "UnknownOperationException"},
		"unsigned":           {http.MethodPost, "/", "{}", logs, 400, "MissingAuthenticationTokenException"},
		"other algorithm":    {http.MethodPost, "/", "{}", with("Authorization", "Bearer x"), 400, "IncompleteSignatureException"},
		"not gzip":           {http.MethodPost, "/", "{}", with("Content-Encoding", "gzip"), 400, "SerializationException"},
		"unknown encoding":   {http.MethodPost, "/", "{}", with("Content-Encoding", "br"), 400, "SerializationException"},
		"too large":          {http.MethodPost, "/", strings.Repeat(" ", 8<<20+1), logs, 413, "RequestEntityTooLargeException"},
		"unknown STS action": {http.MethodPost, "/", "Action=Dance", form, 400, "<Code>InvalidAction</Code>"},
		"broken form":        {http.MethodPost, "/", "Action=%zz", form, 400, "<Code>MalformedQueryString</Code>"},
		"unsigned STS":       {http.MethodPost, "/", "Action=GetCallerIdentity", form, 403, "<Code>MissingAuthenticationToken</Code>"},
		"no token":           {http.MethodPost, "/", "Action=AssumeRoleWithWebIdentity", form, 400, "<Code>InvalidIdentityToken</Code>"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			request, err := http.NewRequestWithContext(t.Context(), test.method, r.url+test.path, strings.NewReader(test.body))
			g.Expect(err).NotTo(HaveOccurred())
			request.Header = test.header
			response, err := http.DefaultClient.Do(request)
			g.Expect(err).NotTo(HaveOccurred())
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(response.StatusCode).To(Equal(test.status), "%s", body)
			g.Expect(string(body)).To(ContainSubstring(test.answer))
			g.Expect(response.Header.Get("X-Amzn-Requestid")).To(MatchRegexp(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`))
		})
	}
}

// TestCommandLine drives the simulator with the aws command, a third implementation of the protocols and of SigV4.
func TestCommandLine(t *testing.T) {
	path, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("SKIPPED: the simulator was not tried with the aws command, which is not on PATH")
	}
	g := NewWithT(t)
	sim := cloudsim.New(cloudsim.Options{Users: []cloudsim.User{alice}}) // With the real clock: it takes seconds.
	url, stop, err := sim.Start(t.Context(), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	r := &rig{Simulator: sim, clock: nowClock()}
	r.logs, _ = clients(url, region, keys(alice))
	makeStream(t, r.logs)

	run := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), path, append(arguments, "--region", region, "--output", "text")...)
		command.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+url, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
			"AWS_ACCESS_KEY_ID="+alice.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+alice.SecretAccessKey)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		output, err := command.Output()
		g.Expect(err).NotTo(HaveOccurred(), "%v: %s", arguments, stderr.String())
		return strings.TrimSpace(string(output))
	}
	g.Expect(run("sts", "get-caller-identity", "--query", "Arn")).To(Equal(aliceARN))
	_, err = r.put(t.Context(), r.sized(3, 4))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(run("logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream, "--query", "events[].message")).
		To(Equal("xxxx\txxxx\txxxx"))
	g.Expect(run("logs", "filter-log-events", "--log-group-name", group, "--page-size", "1", "--query", "events[].message")).
		To(Equal("xxxx\nxxxx\nxxxx"))
}
