package testenv

import (
	"context"
	"encoding/pem"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Tests must not wait for the client's own rate limit.
const (
	clientQPS   = 1000
	clientBurst = 2000
)

// tokenSeconds is how long a service account's token is valid: longer than a demo stays up.
const tokenSeconds int64 = 24 * 60 * 60

// Admin is the configuration of a client that may do everything.
func (e *Env) Admin() *rest.Config { return rest.CopyConfig(e.admin) }

// AddUser makes a user that proves its name and groups by a client certificate. What it may do is up to RBAC.
func (e *Env) AddUser(name string, groups ...string) (*rest.Config, error) {
	pair, err := e.authority.client(name, groups)
	if err != nil {
		return nil, err
	}
	config := e.baseConfig()
	config.CertData, config.KeyData = pair.cert, pair.key
	return config, nil
}

// ServiceAccountConfig is the configuration of a client that runs as a service account, with a token as a pod has it.
// The service account is made when it is missing.
func (e *Env) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	clients, err := kubernetes.NewForConfig(e.admin)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	accounts := clients.CoreV1().ServiceAccounts(namespace)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	if _, err := accounts.Create(ctx, account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("making the service account %s/%s: %w", namespace, name, err)
	}
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(tokenSeconds)},
	}
	token, err := accounts.CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("getting a token of the service account %s/%s: %w", namespace, name, err)
	}
	config := e.baseConfig()
	config.BearerToken = token.Status.Token
	return config, nil
}

// WriteKubeconfig writes a kubeconfig file for a configuration and returns its path. It holds the user's key.
func (e *Env) WriteKubeconfig(config *rest.Config, name string) (string, error) {
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData,
		ClientKeyData:         config.KeyData,
		Token:                 config.BearerToken,
	}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	path := e.file(name + ".kubeconfig")
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		return "", fmt.Errorf("writing the kubeconfig of %s: %w", name, err)
	}
	return path, nil
}

func (e *Env) baseConfig() *rest.Config {
	return &rest.Config{
		Host: e.host,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.authority.cert.Raw}),
		},
		QPS:   clientQPS,
		Burst: clientBurst,
	}
}
