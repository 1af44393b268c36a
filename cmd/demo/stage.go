package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// clusterID is the cluster's name in log streams.
const clusterID = "demo"

// callTimeout bounds each of the demo's own calls of the API server.
const callTimeout = 10 * time.Second

// stage is what the demo plays on.
type stage struct {
	out      io.Writer
	env      *testenv.Env
	account  *account
	operator *testenv.Manager
	// admin may do everything; the operator may not. adminKubeconfig is for kubectl.
	admin           client.Client
	adminKubeconfig string
	// operatorToken proves the operator's identity to the API server, and must be seen nowhere.
	operatorToken string
	// kubeconfigs are the files of the people, by their names.
	kubeconfigs map[string]string
	trails      []*v1alpha1.AuditTrail
	// password is the value of the Secret that the demo makes, and must be seen nowhere.
	password string
}

// open starts the control plane, CloudWatch Logs and the operator.
func (s *stage) open(ctx context.Context) (err error) {
	s.say("Trailkeeper's demo: everything runs on this machine, nothing calls AWS\n")
	s.env, err = testenv.Start(ctx, testenv.Options{Out: s.out, ControllerManager: true})
	if err != nil {
		return err
	}
	err = s.step(ctx, "Installing the CRDs, the operator's rights and its policies", s.env.InstallOperator)
	if err != nil {
		return err
	}
	config := s.env.Admin()
	config.Timeout = callTimeout
	if s.admin, err = testenv.NewClient(config); err != nil {
		return err
	}
	if s.adminKubeconfig, err = s.env.WriteKubeconfig(s.env.Admin(), "admin"); err != nil {
		return err
	}
	s.account, err = openAccount(ctx, s.env.Root)
	if err != nil {
		return err
	}
	s.say("CloudWatch Logs and STS are simulated at %s, with one user who has the six actions of docs/iam-policy.json", s.account.url)
	return s.startOperator(ctx)
}

// startOperator runs the operator outside of the cluster, as its own service account.
func (s *stage) startOperator(ctx context.Context) error {
	var options testenv.ManagerOptions
	err := s.step(ctx, "Building the operator (minutes the first time, seconds when cached)", func(ctx context.Context) (err error) {
		options, err = s.env.NewManager(ctx, "demo")
		return err
	})
	if err != nil {
		return err
	}
	s.operatorToken = options.Identity.BearerToken
	options.Env = s.account.environment()
	options.Args = []string{"--cluster-id=" + clusterID}
	return s.step(ctx, "Starting the operator as its own service account, "+
		testenv.OperatorNamespace+"/"+testenv.OperatorServiceAccount, func(ctx context.Context) (err error) {
		s.operator, err = s.env.StartManager(ctx, options)
		return err
	})
}

// close stops what open started, in the opposite order.
func (s *stage) close() error {
	if s.operator != nil {
		s.operator.Stop()
	}
	if s.account != nil {
		s.account.stop()
	}
	if s.env == nil {
		return nil
	}
	return s.env.Stop()
}

// step says what is being done, that it still is, and how long it took.
func (s *stage) step(ctx context.Context, what string, do func(context.Context) error) error {
	s.say("%s", what)
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				s.say("  done after %.1f s", time.Since(began).Seconds())
			}
			return err
		case <-ticker.C:
			s.say("  still at it after %.0f s", time.Since(began).Seconds())
		}
	}
}

func (s *stage) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, format+"\n", args...) // Nobody reads it when it cannot be written.
}
