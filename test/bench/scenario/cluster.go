package scenario

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	userName   = "bench"
	userGroup  = "developers"
	secretName = "aws"
)

// prepareNamespaces makes the namespaces, and who may do what in them. The built-in roles are empty without
// kube-controller-manager, so what it gives the operator on ConfigMaps is given here.
func (r *Rig) prepareNamespaces(ctx context.Context) error {
	for i := range r.users {
		config, err := r.env.AddUser(fmt.Sprintf("%s-%d", userName, i), userGroup)
		if err != nil {
			return err
		}
		if r.users[i], err = newPoster(config); err != nil {
			return err
		}
	}
	user := rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: userGroup}
	operator := testenv.OperatorSubject()
	var objects []client.Object
	for _, namespace := range []string{
		bareNamespace, noopNamespace, floorNamespace, localFloorNamespace, recorderNamespace, localNamespace, backlogNamespace, grownNamespace, watchedNamespace, queryNamespace,
	} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		objects = append(objects, testenv.Rights(namespace, "editor", user, testenv.Core("configmaps", nil, "create"))...)
		objects = append(objects, testenv.Rights(namespace, "outcomes", operator, testenv.Core("configmaps", nil, "get", "list"))...)
		objects = append(objects, testenv.Rights(namespace, "keys", operator, testenv.Core("secrets", nil, "get"))...)
	}
	return testenv.Create(ctx, r.admin, objects...)
}

// trail is the one of a namespace. When it is first asked for it is made, and is ready when this returns.
func (r *Rig) trail(ctx context.Context, namespace string) (*v1alpha1.AuditTrail, error) {
	if known, ok := r.trails[namespace]; ok {
		return known, nil
	}
	trail, err := r.startTrail(ctx, namespace)
	if err == nil {
		r.trails[namespace] = trail
	}
	return trail, err
}

// durabilities are those of the trails of namespaces that have another than the default.
var durabilities = map[string]v1alpha1.Durability{localNamespace: v1alpha1.DurabilityLocal}

// startTrail makes a trail of all changes to ConfigMaps of its namespace, pushed to the simulator, and waits until it
// is ready. Its events stay in the cluster for as long as the benchmark runs.
func (r *Rig) startTrail(ctx context.Context, namespace string) (*v1alpha1.AuditTrail, error) {
	object := metav1.ObjectMeta{Namespace: namespace, Name: "bench"}
	trail := &v1alpha1.AuditTrail{
		ObjectMeta: object,
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: logGroup,
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secretName}}},
			},
			Rules: []v1alpha1.Rule{{
				Level: v1alpha1.LevelChanges, Resources: []v1alpha1.GroupResources{{Resources: []string{"configmaps"}}},
			}},
			Recording: v1alpha1.RecordingPolicy{Durability: durabilities[namespace]},
			Retention: v1alpha1.RetentionPolicy{MaxEvents: new(int32(100_000))},
		},
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName},
		StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": awsUser.AccessKeyID, "AWS_SECRET_ACCESS_KEY": awsUser.SecretAccessKey,
		},
	}
	if err := testenv.Create(ctx, r.admin, secret, trail); err != nil {
		return nil, err
	}
	return trail, testenv.WaitReady(ctx, r.admin, trail, patience)
}

// suspend switches a trail off or on, and returns once that is asked for.
func (r *Rig) suspend(ctx context.Context, trail *v1alpha1.AuditTrail, suspended bool) error {
	before := trail.DeepCopy()
	trail.Spec.Suspend = &suspended
	if err := r.admin.Patch(ctx, trail, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("setting suspend of AuditTrail %s: %w", client.ObjectKeyFromObject(trail), err)
	}
	return nil
}

// waitForTrail reads the trail until a condition holds.
func (r *Rig) waitForTrail(
	ctx context.Context, trail *v1alpha1.AuditTrail, longest time.Duration, what string, holds func() bool,
) error {
	err := wait.PollUntilContextTimeout(ctx, poll, longest, true, func(ctx context.Context) (bool, error) {
		err := r.admin.Get(ctx, client.ObjectKeyFromObject(trail), trail)
		return err == nil && holds(), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for AuditTrail %s %s: %w; its status: %+v",
			client.ObjectKeyFromObject(trail), what, err, trail.Status)
	}
	return nil
}

// waitForAccepted waits until the simulator has taken so many log events in all.
func (r *Rig) waitForAccepted(ctx context.Context, want int, longest time.Duration) error {
	err := wait.PollUntilContextTimeout(ctx, poll, longest, true, func(context.Context) (bool, error) {
		return r.accepted() >= want, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d events were delivered within %s: %w; the manager's log is %s",
			r.accepted(), want, longest, err, r.manager.LogPath())
	}
	return nil
}

// waitForArrivals waits until so many events were noted, but for those of some streams.
func (r *Rig) waitForArrivals(ctx context.Context, want int, longest time.Duration, without ...string) error {
	err := wait.PollUntilContextTimeout(ctx, poll, longest, true, func(context.Context) (bool, error) {
		return r.arrivals.count(without...) >= want, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d events arrived within %s: %w; the manager's log is %s",
			r.arrivals.count(without...), want, longest, err, r.manager.LogPath())
	}
	return nil
}
