package testenv

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
)

const loopback = "127.0.0.1"

// newEtcd is a single etcd member. Without Options.Sync it does not wait for the disk: nothing has to survive the
// machine, and tests are several times faster.
func (e *Env) newEtcd(ctx context.Context) (*process, error) {
	client, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	e.etcdURL = "http://" + net.JoinHostPort(loopback, client)
	args := []string{
		"--data-dir=" + filepath.Join(e.Dir, "etcd"),
		"--listen-client-urls=" + e.etcdURL,
		"--advertise-client-urls=" + e.etcdURL,
		"--listen-peer-urls=http://" + net.JoinHostPort(loopback, peer),
	}
	if !e.options.Sync {
		args = append(args, "--unsafe-no-fsync")
	}
	p := e.newProcess("etcd", append(args, e.options.EtcdArgs...))
	p.ready = func(ctx context.Context) error { return get(ctx, http.DefaultClient, e.etcdURL+"/health") }
	return p, nil
}

// newAPIServer writes the API server's certificates and audit policy, and makes the administrator's configuration.
func (e *Env) newAPIServer(ctx context.Context) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.writeServerFiles(); err != nil {
		return nil, err
	}
	e.host = "https://" + net.JoinHostPort(loopback, port)
	args := []string{
		"--etcd-servers=" + e.etcdURL,
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		"--endpoint-reconciler-type=none", // Endpoints must not be loopback addresses, and nothing needs the Service.
		"--secure-port=" + port,
		"--cert-dir=" + e.Dir,
		"--tls-cert-file=" + e.file("apiserver.crt"),
		"--tls-private-key-file=" + e.file("apiserver.key"),
		"--client-ca-file=" + e.file("ca.crt"),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + e.file("sa.key"),
		"--service-account-signing-key-file=" + e.file("sa.key"),
	}
	if !e.options.ControllerManager {
		// Nobody makes the service account "default" that this plugin asks for.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	if e.options.AuditLog {
		args = append(args, e.auditArgs()...)
	}
	e.admin, err = e.AddUser("admin", "system:masters")
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(e.admin)
	if err != nil {
		return nil, fmt.Errorf("making the administrator's client: %w", err)
	}
	p := e.newProcess("kube-apiserver", append(args, e.options.APIServerArgs...))
	p.ready = func(ctx context.Context) error { return get(ctx, client, e.host+"/readyz") }
	return p, nil
}

func (e *Env) writeServerFiles() error {
	serving, err := e.authority.server()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of service account tokens: %w", err)
	}
	signing, err := encodeKey(key)
	if err != nil {
		return err
	}
	return writeFiles(map[string][]byte{
		e.file("ca.crt"):            encodeCert(e.authority.cert.Raw),
		e.file("apiserver.crt"):     serving.cert,
		e.file("apiserver.key"):     serving.key,
		e.file("sa.key"):            signing,
		e.file("audit-policy.yaml"): []byte(auditPolicy),
	})
}

// newControllerManager runs the controllers under a service account each, as clusters do, so that the audit log and
// the operator see the same actors as there.
func (e *Env) newControllerManager(ctx context.Context) (*process, error) {
	return e.newActor(ctx, "kube-controller-manager",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+e.file("sa.key"),
		"--root-ca-file="+e.file("ca.crt"),
	)
}

func (e *Env) newScheduler(ctx context.Context) (*process, error) {
	return e.newActor(ctx, "kube-scheduler")
}

// newActor is one of the control plane's programs that only call the API server, as the user of its name.
func (e *Env) newActor(ctx context.Context, name string, args ...string) (*process, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	config, err := e.AddUser("system:" + name)
	if err != nil {
		return nil, err
	}
	kubeconfig, err := e.WriteKubeconfig(config, name)
	if err != nil {
		return nil, err
	}
	p := e.newProcess(name, append([]string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + loopback,
		"--secure-port=" + port,
		"--cert-dir=" + filepath.Join(e.Dir, name),
		"--leader-elect=false",
	}, args...))
	//nolint:gosec // It serves with a certificate that it signed itself, on loopback.
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	p.ready = func(ctx context.Context) error {
		return get(ctx, insecure, "https://"+net.JoinHostPort(loopback, port)+"/healthz")
	}
	return p, nil
}

func (e *Env) newProcess(name string, args []string) *process {
	return &process{path: filepath.Join(e.assets, name), args: args, logPath: e.file(name + ".log")}
}

// get returns nil when url answers 200.
func get(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("asking %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("%s answered %s: %s", url, response.Status, body)
	}
	return nil
}
