package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const shop = "shop"

// Names of the scene's events, by what happened.
var (
	created  = nameAt(0)
	patched  = nameAt(1)
	scaled   = nameAt(2)
	replaced = nameAt(3)
	hostile  = nameAt(4)
	refused  = nameAt(5)
	secret   = nameAt(6)
	nodes    = nameAt(7)
	notice   = nameAt(8)
	deleted  = nameAt(9)
)

// timeAt is when the nth thing happened: one every minute of the hour before noon.
func timeAt(n int) time.Time { return now.Add(-time.Hour + time.Duration(n)*time.Minute) }

// nameAt is the name of the event of the nth thing.
func nameAt(n int) string {
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(timeAt(n))); err != nil {
		panic(err) // It is a time of 2026.
	}
	id[15] = byte(n)
	return strings.ToLower(id.String())
}

// makeScene makes two trails, one of the shop and one of the cluster, and what they recorded. The operator does not run: the
// events are written as its service account, which alone may.
func makeScene(ctx context.Context) error {
	admin, err := testenv.NewClient(env.Admin())
	if err != nil {
		return err
	}
	config, err := env.ServiceAccountConfig(ctx, testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	if err != nil {
		return err
	}
	operator, err := testenv.NewClient(config)
	if err != nil {
		return err
	}
	project, tenant := sceneTrail(shop, "shop"), sceneTrail(testenv.OperatorNamespace, "security")
	tenant.Spec.Rules, tenant.Spec.Redaction = sceneRules(), &v1alpha1.Redaction{Paths: []string{"/spec/token"}}
	tenant.Spec.Recording.FailurePolicy = v1alpha1.FailurePolicyFail
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}}, project, tenant}
	if err := testenv.Create(ctx, admin, objects...); err != nil {
		return err
	}
	for n, change := range sceneChanges() {
		if err := record(ctx, operator, project, n, change); err != nil {
			return err
		}
		// The tenant trail recorded the same changes, and one that is cluster-scoped.
		if err := record(ctx, operator, tenant, n, change); err != nil {
			return err
		}
	}
	return judgeAll(ctx, operator, project, tenant)
}

func sceneTrail(namespace, name string) *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly},
	}
}

// judgeAll says that everything so far was judged.
func judgeAll(ctx context.Context, operator client.Client, trails ...*v1alpha1.AuditTrail) error {
	var events v1alpha1.AuditEventList
	if err := operator.List(ctx, &events, client.Limit(1)); err != nil {
		return err
	}
	for _, trail := range trails {
		before := trail.DeepCopy()
		trail.Status.Delivery = &v1alpha1.DeliveryStatus{ResourceVersion: events.ResourceVersion, Sequence: 9, Delivered: 9}
		if err := operator.Status().Patch(ctx, trail, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("writing the cursor of %s: %w", trail.Name, err)
		}
	}
	return nil
}

// record writes one trail's record of a change.
func record(ctx context.Context, c client.Client, trail *v1alpha1.AuditTrail, n int, change sceneChange) error {
	event := &v1alpha1.AuditEvent{ObjectMeta: metav1.ObjectMeta{Namespace: trail.Namespace, Name: nameAt(n)}}
	change.spec.DeepCopyInto(&event.Spec)
	if trail.Namespace != shop {
		// The two trails' names differ in their random part.
		event.Name = event.Name[:len(event.Name)-4] + "zzz" + event.Name[len(event.Name)-1:]
	}
	if event.Spec.Resource.Namespace == "" && trail.Namespace == shop {
		return nil // A project trail sees its own namespace only.
	}
	event.Spec.ID = fmt.Sprintf("change-%d", n)
	event.Spec.Time = metav1.NewMicroTime(timeAt(n).Add(123456 * time.Microsecond))
	event.Spec.TrailRef = v1alpha1.TrailReference{Namespace: trail.Namespace, Name: trail.Name, UID: string(trail.UID)}
	if event.Spec.Cause != nil {
		event.Spec.Cause.Event = trail.Namespace + "/" + event.Spec.Cause.Event
	}
	if err := c.Create(ctx, event); err != nil {
		return fmt.Errorf("recording change %d: %w", n, err)
	}
	if change.outcome == "" {
		return nil
	}
	before := event.DeepCopy()
	event.Status = v1alpha1.AuditEventStatus{
		Outcome: change.outcome, Message: change.message, RecordedResourceVersion: event.ResourceVersion,
	}
	return c.Status().Patch(ctx, event, client.MergeFrom(before))
}

// sceneChange is one change, and whether it stuck.
type sceneChange struct {
	spec    v1alpha1.AuditEventSpec
	outcome v1alpha1.Outcome
	message string
}

func raw(json string) *runtime.RawExtension {
	if json == "" {
		return nil
	}
	return &runtime.RawExtension{Raw: []byte(json)}
}

func op(op v1alpha1.ChangeOp, path, from, value string) v1alpha1.Change {
	return v1alpha1.Change{Op: op, Path: &path, From: raw(from), Value: raw(value)}
}
