package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// defaultOperatorNamespace is the one of the manifests.
	defaultOperatorNamespace = "trailkeeper-system"
	// operatorServiceAccount is the operator's own.
	operatorServiceAccount = "trailkeeper-manager"
	// requestTimeout bounds a request unless --request-timeout does. Watches have no end of their own.
	requestTimeout = 30 * time.Second
	// requestsPerSecond and requestBurst let pages follow each other; the API server's own fairness is the limit.
	requestsPerSecond, requestBurst = 50, 100
)

// session is one run of the plugin: whose rights it has, in which cluster.
type session struct {
	Terminal
	kubeconfig *genericclioptions.ConfigFlags
	// operatorNamespace is where the operator, and the trails that see the whole cluster, are.
	operatorNamespace string
}

func newSession(terminal Terminal) *session {
	kubeconfig := genericclioptions.NewConfigFlags(true)
	// --user is whose changes are looked for. A kubeconfig's context names its user.
	kubeconfig.AuthInfoName = nil
	return &session{Terminal: terminal, kubeconfig: kubeconfig}
}

// bind defines the flags that all commands have.
func (s *session) bind(root *cobra.Command) {
	s.kubeconfig.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&s.operatorNamespace, "operator-namespace", defaultOperatorNamespace,
		"The namespace of the operator, and of the trails that see the whole cluster")
}

// config is how to reach the API server.
func (s *session) config() (*rest.Config, error) {
	config, err := s.kubeconfig.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = requestsPerSecond, requestBurst
	return config, nil
}

// client reads and writes; each of its requests has a deadline.
func (s *session) client() (client.Client, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	if config.Timeout == 0 {
		config.Timeout = requestTimeout
	}
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("reaching the API server: %w", err)
	}
	return c, nil
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	return scheme, nil
}

// namespace is the one of --namespace, else that of the kubeconfig's context.
func (s *session) namespace() (string, error) {
	namespace, _, err := s.kubeconfig.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return namespace, nil
}

// operatorUsername is the operator as the API server knows it.
func (s *session) operatorUsername() string {
	return "system:serviceaccount:" + s.operatorNamespace + ":" + operatorServiceAccount
}

// say writes a line beside what was asked for.
func (s *session) say(format string, args ...any) {
	_, _ = fmt.Fprintln(s.Err, plain(fmt.Sprintf(format, args...)))
}
