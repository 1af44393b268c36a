package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// trailPause is the time between two trails that are applied. It is longer than what the machine needs for one, so
	// that what is measured is how trails are served and not how many fit.
	trailPause = 150 * time.Millisecond
	// loneTrails are measured one after the other, and trailsPerNamespace share a namespace.
	loneTrails         = 5
	trailsPerNamespace = 10
	// hangingGroup is a destination that never answers.
	hangingGroup = "/audit/hanging"
)

// started measures from a trail's apply to Ready, alone and among many of which every tenth is broken, and the memory
// that each of them costs the manager.
func started(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	crowd := &crowd{rig: rig, prefix: "bench-crowd", applied: map[client.ObjectKey]time.Time{}}
	defer rig.cloud.Inject(cloudsim.Fault{Group: hangingGroup, Effect: cloudsim.Hang})()
	if err := crowd.prepare(ctx, size.Trails); err != nil {
		return err
	}
	if err := rig.restartManager(ctx); err != nil {
		return err
	}
	readiness, err := rig.watchReadiness(ctx)
	if err != nil {
		return err
	}
	defer readiness.stop()

	lone := make([]time.Duration, 0, loneTrails)
	for i := range loneTrails {
		took, err := crowd.startAlone(ctx, readiness, i)
		if err != nil {
			return err
		}
		lone = append(lone, took)
	}
	before, err := rig.usage()
	if err != nil {
		return err
	}
	if err := crowd.apply(ctx, size.Trails); err != nil {
		return err
	}
	healthy, err := crowd.wait(ctx, readiness)
	if err != nil {
		return err
	}
	after, err := rig.usage()
	if err != nil {
		return err
	}
	alone, among := load.Result{Latencies: lone}, load.Result{Latencies: healthy}
	slices.Sort(alone.Latencies)
	slices.Sort(among.Latencies)
	into.Add("trail.ready_ratio", among.Milliseconds(0.9)/alone.Milliseconds(0.5), "×", report.AtMost(2))
	into.Add("trail.memory_kb", float64(after.RSS-before.RSS)/1e3/float64(size.Trails), "KB", report.Target{})
	into.AddRow(readyRow("alone", alone))
	into.AddRow(readyRow(fmt.Sprintf("%d trails, %d broken", size.Trails, size.Trails/10), among))
	return nil
}

func readyRow(under string, took load.Result) report.Row {
	row := remark("trail, apply to Ready", under, fmt.Sprintf("90 %% within %.0f ms", took.Milliseconds(0.9)))
	row.P50, row.P99 = took.Milliseconds(0.5), took.Milliseconds(0.99)
	return row
}

// crowd are many trails in many namespaces.
type crowd struct {
	rig *Rig
	// prefix begins the names of the namespaces.
	prefix string
	// applied is when the healthy ones were.
	applied map[client.ObjectKey]time.Time
}

func (c *crowd) namespace(i int) string { return fmt.Sprintf("%s-%d", c.prefix, i/trailsPerNamespace) }

// prepare makes the namespaces, each with a good Secret, a bad one, and the operator's right to read them.
func (c *crowd) prepare(ctx context.Context, trails int) error {
	for i := 0; i < trails; i += trailsPerNamespace {
		namespace := c.namespace(i)
		objects := append([]client.Object{
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
			awsSecret(namespace, secretName, awsUser.AccessKeyID),
			awsSecret(namespace, "unknown", "AKIANOBODYNOBODYNOBO"),
		}, testenv.Rights(namespace, "keys", testenv.OperatorSubject(), testenv.Core("secrets", nil, "get"))...)
		if err := testenv.Create(ctx, c.rig.admin, objects...); err != nil {
			return err
		}
	}
	return nil
}

func awsSecret(namespace, name, accessKeyID string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		StringData: map[string]string{"AWS_ACCESS_KEY_ID": accessKeyID, "AWS_SECRET_ACCESS_KEY": awsUser.SecretAccessKey},
	}
}

// startAlone applies one trail, and returns how long it took until it was ready.
func (c *crowd) startAlone(ctx context.Context, readiness *readiness, i int) (time.Duration, error) {
	trail := crowdTrail(c.namespace(0), fmt.Sprintf("alone-%d", i))
	if err := c.create(ctx, trail); err != nil {
		return 0, err
	}
	took, err := c.wait(ctx, readiness)
	if err != nil {
		return 0, err
	}
	clear(c.applied)
	return took[0], nil
}

// apply applies the trails at an even pace. Every tenth is broken: its key is unknown, its Secret is missing, or its
// destination hangs.
func (c *crowd) apply(ctx context.Context, trails int) error {
	pace := time.NewTicker(trailPause)
	defer pace.Stop()
	for i := range trails {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
		trail := crowdTrail(c.namespace(i), fmt.Sprintf("trail-%d", i))
		if i%10 != 0 {
			if err := c.create(ctx, trail); err != nil {
				return err
			}
			continue
		}
		switch destination := trail.Spec.CloudWatch; i / 10 % 3 {
		case 0:
			destination.LogGroupName = hangingGroup
		case 1:
			destination.Auth.Credentials.SecretRef.Name = "unknown"
		default:
			destination.Auth.Credentials.SecretRef.Name = "missing"
		}
		if err := testenv.Create(ctx, c.rig.admin, trail); err != nil {
			return err
		}
	}
	return nil
}

// create applies a trail that is to become ready.
func (c *crowd) create(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	c.applied[client.ObjectKeyFromObject(trail)] = time.Now()
	return testenv.Create(ctx, c.rig.admin, trail)
}

// wait returns how long each trail that is to become ready took. It fails when one does not.
func (c *crowd) wait(ctx context.Context, readiness *readiness) ([]time.Duration, error) {
	var took []time.Duration
	for key, applied := range c.applied {
		ready, err := readiness.of(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("%w; the manager's log is %s", err, c.rig.manager.LogPath())
		}
		took = append(took, ready.Sub(applied))
	}
	return took, nil
}

func crowdTrail(namespace, name string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: logGroup,
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secretName}}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelMetadata, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
		},
	}
}
