package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// account is an AWS account with one user, and the log streams to which something was pushed.
type account struct {
	simulator *cloudsim.Simulator
	user      cloudsim.User
	url       string
	stop      func()

	mu      sync.Mutex
	streams []stream
}

// stream is where a log stream is.
type stream struct{ region, group, name string }

// openAccount serves the account on loopback. Its user has exactly the policy that is published.
func openAccount(ctx context.Context, root string) (*account, error) {
	document, err := os.ReadFile(filepath.Join(root, "docs", "iam-policy.json"))
	if err != nil {
		return nil, fmt.Errorf("reading the base policy: %w", err)
	}
	policy, err := cloudsim.ParsePolicy(string(document))
	if err != nil {
		return nil, fmt.Errorf("reading the base policy: %w", err)
	}
	a := &account{user: cloudsim.User{
		Name:            "trailkeeper",
		AccessKeyID:     "AKIA" + rand.Text()[:16],
		SecretAccessKey: (rand.Text() + rand.Text())[:40],
		Policy:          policy,
	}}
	a.simulator = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{a.user}, OnCall: a.see})
	// The account outlives an interrupt, so that the operator can deliver what it holds before it ends.
	a.url, a.stop, err = a.simulator.Start(context.WithoutCancel(ctx), "127.0.0.1:0")
	return a, err
}

// environment sends the operator to this account, whatever the user's own settings for AWS are.
func (a *account) environment() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + a.url,
		"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=" + a.url,
		"AWS_ENDPOINT_URL_STS=" + a.url,
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false",
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_PROFILE=", "AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=",
	}
}

// see remembers the streams that get records, also those of trails that the user makes.
func (a *account) see(call cloudsim.Call) {
	if call.Action != "PutLogEvents" || call.Code != "" {
		return
	}
	seen := stream{call.Region, call.Group, call.Stream}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.streams, seen) {
		a.streams = append(a.streams, seen)
	}
}

// known are the streams that got records, in the order of their first.
func (a *account) known() []stream {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.streams)
}

// records are what a stream received, in the order in which it came.
func (a *account) records(in stream) []string {
	events := a.simulator.Events(in.region, in.group, in.name)
	records := make([]string, 0, len(events))
	for i := range events {
		records = append(records, events[i].Message)
	}
	return records
}
