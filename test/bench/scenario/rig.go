package scenario

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// Namespaces of ConfigMaps. Each is served by one configuration, so that nothing is switched between measurements.
const (
	bareNamespace       = "bench-bare"
	noopNamespace       = "bench-noop"
	recorderNamespace   = "bench-recorder"
	localNamespace      = "bench-local"
	floorNamespace      = "bench-floor"
	localFloorNamespace = "bench-local-floor"
	backlogNamespace    = "bench-backlog"
	grownNamespace      = "bench-grown"
	watchedNamespace    = "bench-watched"
	queryNamespace      = "bench-query"
)

const (
	region    = "eu-west-1"
	logGroup  = "/audit/bench"
	putAction = "PutLogEvents"
	// patience bounds how long the operator may take for something that is not measured.
	patience = 2 * time.Minute
	poll     = 100 * time.Millisecond
)

// awsUser is the trails' identity: the simulator lets it do just what the published policy does.
var awsUser = cloudsim.User{
	Name: "trail", AccessKeyID: "AKIABENCHBENCHBENCHB", SecretAccessKey: "bench",
	Policy: cloudsim.Allow("logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream",
		"logs:PutLogEvents", "logs:DeleteLogStream", "logs:DescribeLogStreams"),
}

// Rig is a control plane, the operator, and AWS.
type Rig struct {
	out     io.Writer
	env     *testenv.Env
	manager *testenv.Manager
	cloud   *cloudsim.Simulator
	// arrivals sees what cloud stores.
	arrivals arrivals
	admin    client.Client
	// users change ConfigMaps in turn, as people whom priority and fairness treats as anybody: it lets none of them have
	// several hundred requests at once.
	users    [20]*poster
	cloudURL string
	// managerOptions are those of manager.
	managerOptions testenv.ManagerOptions
	trails         map[string]*v1alpha1.AuditTrail
	// drains is how many backlogs were stored.
	drains int
	// managerArgs are further flags of the manager.
	managerArgs []string
	closers     []func()
}

func newRig(out io.Writer) *Rig {
	return &Rig{out: out, trails: map[string]*v1alpha1.AuditTrail{}}
}

// start starts everything, once.
func (r *Rig) start(ctx context.Context) error {
	if r.manager != nil {
		return nil
	}
	for _, step := range []func(context.Context) error{
		r.startControlPlane, r.startCloud, r.prepareNamespaces, r.startNoop, r.startManager,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// close ends everything in the opposite order.
func (r *Rig) close() {
	for len(r.closers) > 0 {
		last := len(r.closers) - 1
		r.closers[last]()
		r.closers = r.closers[:last]
	}
}

func (r *Rig) startControlPlane(ctx context.Context) error {
	var err error
	// A million events are more than the 2 GB that etcd takes by default.
	quota := []string{"--quota-backend-bytes=" + strconv.FormatInt(8<<30, 10)}
	if r.env, err = testenv.Start(ctx, testenv.Options{Sync: true, Out: r.out, EtcdArgs: quota}); err != nil {
		return err
	}
	r.closers = append(r.closers, func() {
		if err := r.env.Stop(); err != nil {
			r.say("Cannot stop the control plane: %v", err)
		}
	})
	if r.admin, err = testenv.NewClient(r.env.Admin()); err != nil {
		return err
	}
	return r.env.InstallOperator(ctx)
}

func (r *Rig) startCloud(ctx context.Context) error {
	r.cloud = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{awsUser}, Discard: true, OnCall: r.arrivals.note})
	url, stop, err := r.cloud.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.closers = append(r.closers, stop)
	r.cloudURL = url
	return nil
}

// startManager runs the built operator as its own service account, and nothing more than that may do.
func (r *Rig) startManager(ctx context.Context) error {
	r.say("Building and starting the manager")
	options, err := r.env.NewManager(ctx, "bench")
	if err != nil {
		return err
	}
	options.Env = []string{"AWS_ENDPOINT_URL=" + r.cloudURL, "AWS_EC2_METADATA_DISABLED=true"}
	options.Args = append([]string{"--cluster-id=bench"}, r.managerArgs...)
	r.managerOptions = options
	if err := r.runManager(ctx); err != nil {
		return err
	}
	r.closers = append(r.closers, func() { r.manager.Stop() })
	return nil
}

// restartManager starts the operator over, so that its memory tells of what follows.
func (r *Rig) restartManager(ctx context.Context) error {
	r.manager.Stop()
	return r.runManager(ctx)
}

func (r *Rig) runManager(ctx context.Context) error {
	manager, err := r.env.StartManager(ctx, r.managerOptions)
	if err != nil {
		return err
	}
	r.manager = manager
	return nil
}

// usage is what the manager has used so far.
func (r *Rig) usage() (testenv.Usage, error) { return testenv.UsageOf(r.manager.PID()) }

// accepted is how many log events the simulator has taken so far.
func (r *Rig) accepted() int { return r.cloud.Counts(putAction).Events }

func (r *Rig) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format+"\n", args...)
}
