package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
)

// OperatorOptions say how to run several replicas of the operator.
type OperatorOptions struct {
	// Replicas is how many.
	Replicas int
	// Path is another program than the one that is built from here, such as an older one.
	Path string
	// Env are further variables of each, and Args further flags.
	Env, Args []string
}

// Operator is several replicas of the built operator behind one address, as its own service account. Its methods may be
// called from one goroutine at a time.
type Operator struct {
	env      *Env
	options  []ManagerOptions
	replicas []*Manager
	balancer *Balancer
}

// StartOperator builds the operator and runs its replicas until all are ready. InstallOperator must have been called.
func (e *Env) StartOperator(ctx context.Context, options OperatorOptions) (*Operator, error) {
	replica, err := e.NewManager(ctx, "")
	if err != nil {
		return nil, err
	}
	replica.Env, replica.Args = options.Env, options.Args
	if options.Path != "" {
		replica.Path = options.Path
	}
	ports, err := FreePorts(ctx, options.Replicas)
	if err != nil {
		return nil, err
	}
	balancer, err := NewBalancer(ctx, ports)
	if err != nil {
		return nil, err
	}
	o := &Operator{env: e, balancer: balancer, replicas: make([]*Manager, options.Replicas)}
	for i, port := range ports {
		replica.Name = strconv.Itoa(i)
		replica.WebhookURL, replica.WebhookBind = "https://"+balancer.Address, loopback+":"+port
		o.options = append(o.options, replica)
	}
	for i := range o.options {
		if err := o.Start(ctx, i); err != nil {
			o.Close()
			return nil, err
		}
	}
	return o, nil
}

// Start runs a replica, again after it was killed or stopped, with the local file that it left.
func (o *Operator) Start(ctx context.Context, replica int) error {
	manager, err := o.env.StartManager(ctx, o.options[replica])
	if err != nil {
		return fmt.Errorf("starting replica %d: %w", replica, err)
	}
	o.replicas[replica] = manager
	return nil
}

// Replace has a replica end in good order, and starts another program in its place, as a roll-out does.
func (o *Operator) Replace(ctx context.Context, replica int, path string) error {
	o.replicas[replica].Stop()
	o.options[replica].Path = path
	return o.Start(ctx, replica)
}

// Replica is one of the replicas; after Start it is another.
func (o *Operator) Replica(replica int) *Manager { return o.replicas[replica] }

// Size is how many replicas there are, running or not.
func (o *Operator) Size() int { return len(o.replicas) }

// LogPaths are the files with the replicas' logs.
func (o *Operator) LogPaths() []string {
	paths := make([]string, 0, len(o.options))
	for _, options := range o.options {
		paths = append(paths, o.env.file("manager-"+options.Name+".log"))
	}
	return paths
}

// WebhookAddresses are where the replicas' recorders listen, behind the one address that the API server calls.
func (o *Operator) WebhookAddresses() []string {
	addresses := make([]string, 0, len(o.options))
	for _, options := range o.options {
		addresses = append(addresses, options.WebhookBind)
	}
	return addresses
}

// SpillDir is the folder of a replica's local file.
func (o *Operator) SpillDir(replica int) string { return spillDir(o.env, o.options[replica].Name) }

func spillDir(e *Env, name string) string { return filepath.Join(e.Dir, "spill-"+name) }

// Leader is the replica that says that it leads.
func (o *Operator) Leader(ctx context.Context) (int, error) {
	var errs []error
	for i, replica := range o.replicas {
		leads, err := replica.leads(ctx)
		if leads {
			return i, nil
		}
		errs = append(errs, err)
	}
	return 0, fmt.Errorf("no replica says that it leads: %w", errors.Join(errs...))
}

// Close ends all replicas at once.
func (o *Operator) Close() {
	for _, replica := range o.replicas {
		if replica != nil {
			replica.Kill()
		}
	}
	o.balancer.Close()
}

func (m *Manager) leads(ctx context.Context) (bool, error) {
	leads, err := m.Metric(ctx, `leader_election_master_status{name="trailkeeper-leader"}`)
	return leads == 1, err
}

// Spilled is how many events wait in the replica's local file.
func (m *Manager) Spilled(ctx context.Context) (int, error) {
	waiting, err := m.Metric(ctx, "trailkeeper_spill_records")
	return int(waiting), err
}

// Metric is the value of one of the replica's own metrics, by its name and labels; 0 when it does not have that.
func (m *Manager) Metric(ctx context.Context, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.MetricsURL, http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("asking a replica for metrics: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking a replica for metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, lines.Err()
}
