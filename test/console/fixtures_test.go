package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const olivia = "system:serviceaccount:people:olivia"

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// fact is a change to be recorded.
type fact struct {
	// id is the change's, whichever trail records it.
	id                        string
	ago                       time.Duration
	action                    v1alpha1.Action
	kind, place, object, user string
	note                      string
	outcome                   v1alpha1.Outcome
	message                   string
	changes                   []v1alpha1.Change
}

var plurals = map[string][3]string{
	"Deployment": {"apps", "v1", "deployments"}, "ConfigMap": {"", "v1", "configmaps"}, "Secret": {"", "v1", "secrets"},
	"Ingress": {"networking.k8s.io", "v1", "ingresses"}, "Service": {"", "v1", "services"}, "Namespace": {"", "v1", "namespaces"},
	"ClusterRoleBinding": {"rbac.authorization.k8s.io", "v1", "clusterrolebindings"}, "CronJob": {"batch", "v1", "cronjobs"},
	"ServiceAccount": {"", "v1", "serviceaccounts"},
}

// addFixtures records a day of a small cluster's life in the tenant's trail, and a few changes in the project shop's own.
func addFixtures(ctx context.Context) error {
	made, err := addTrails(ctx)
	if err != nil {
		return err
	}
	last := ""
	for i, f := range append(named(), everyday()...) {
		f.id = fmt.Sprint("change-", i)
		places := []string{tenant}
		if f.place == "shop" && f.ago < 6*time.Hour {
			places = append(places, "shop")
		}
		for _, place := range places {
			if last, err = record(ctx, f, place); err != nil {
				return err
			}
		}
	}
	return judge(ctx, made, last)
}

// named are the changes that tests look for.
func named() []fact {
	image := func(from, to string) v1alpha1.Change {
		return replace("/spec/template/spec/containers/0/image", from, to)
	}
	return []fact{
		{ago: 4 * time.Minute, action: v1alpha1.ActionUpdate, kind: "Deployment", place: "shop", object: "checkout", user: olivia,
			changes: []v1alpha1.Change{
				image("registry.example.com/checkout:2.14.0", "registry.example.com/checkout:2.13.2"),
				replace("/spec/replicas", 3, 6),
				{Op: "add", Path: new("/metadata/annotations/rollback~1of"), Value: raw("2.14.0")},
				{Op: "remove", Path: new("/spec/template/spec/containers/0/env/2"), From: raw(map[string]any{"name": "FEATURE_FAST_CART", "value": "true"})},
			}},
		{ago: 19 * time.Minute, action: v1alpha1.ActionUpdate, kind: "Deployment", place: "shop", object: "checkout", user: "system:serviceaccount:ci:deployer",
			note: "Release 2.14.0: faster cart (SHOP-1184)", changes: []v1alpha1.Change{image("registry.example.com/checkout:2.13.2", "registry.example.com/checkout:2.14.0")}},
		{ago: 33 * time.Minute, action: v1alpha1.ActionCreate, kind: "Ingress", place: "shop", object: "public", user: "marta@example.com", outcome: v1alpha1.OutcomeNotPersisted,
			message: "A quota refused the change after it was admitted.", changes: []v1alpha1.Change{{Op: "add", Path: new(""), Value: raw(map[string]any{"spec": map[string]any{"ingressClassName": "nginx"}})}}},
		{ago: 52 * time.Minute, action: v1alpha1.ActionDelete, kind: "Secret", place: "payments", object: "stripe-old", user: "marta@example.com", outcome: v1alpha1.OutcomeUnknown,
			note: "Rotated last week, nothing uses it any more", message: "The operator may not read Secrets."},
		{ago: 70 * time.Minute, action: v1alpha1.ActionCreate, kind: "ClusterRoleBinding", object: "on-call-debug", user: "jonas@example.com", note: "On call, INC-204"},
		{ago: 3 * time.Hour, action: v1alpha1.ActionDelete, kind: "Namespace", object: "preview-318", user: "system:serviceaccount:ci:preview-cleaner"},
	}
}

// everyday are changes of no interest, spread over a day as people work: the same each time.
func everyday() []fact {
	random := rand.New(rand.NewPCG(7, 7))
	users := []string{"system:serviceaccount:ci:deployer", "system:serviceaccount:ci:deployer", "marta@example.com", "jonas@example.com", "system:serviceaccount:kube-system:cronjob-controller"}
	kinds := []string{"Deployment", "ConfigMap", "ConfigMap", "CronJob", "Service", "Secret", "ServiceAccount"}
	places := []string{"shop", "payments", "search", "platform", "preview-318"}
	names := []string{"web", "checkout", "cart", "ledger", "indexer", "feature-flags", "gateway", "reports"}
	actions := []v1alpha1.Action{v1alpha1.ActionUpdate, v1alpha1.ActionUpdate, v1alpha1.ActionUpdate, v1alpha1.ActionCreate, v1alpha1.ActionDelete}
	notes := []string{"", "", "", "", "", "Nightly sync", "Certificates renewed", "More memory for the indexer"}
	var facts []fact
	for range 700 {
		ago := time.Duration(random.Float64() * float64(23*time.Hour+50*time.Minute))
		if busy := random.Float64(); busy < .55 {
			ago = time.Duration((.5 + random.NormFloat64()*.12 + float64(random.IntN(2))*.28) * float64(12*time.Hour))
		}
		if ago < 5*time.Minute {
			ago = 5*time.Minute - ago
		}
		f := fact{
			ago: min(max(ago, 90*time.Minute/60), 23*time.Hour+55*time.Minute), action: actions[random.IntN(len(actions))], kind: kinds[random.IntN(len(kinds))], place: places[random.IntN(len(places))],
			object: names[random.IntN(len(names))], user: users[random.IntN(len(users))], note: notes[random.IntN(len(notes))],
		}
		if random.IntN(28) == 0 {
			f.outcome, f.message = v1alpha1.OutcomeNotPersisted, "The object still has the version it had before."
		}
		facts = append(facts, f)
	}
	return facts
}

func replace(path string, from, to any) v1alpha1.Change {
	return v1alpha1.Change{Op: "replace", Path: new(path), From: raw(from), Value: raw(to)}
}

func raw(value any) *runtime.RawExtension {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return &runtime.RawExtension{Raw: encoded}
}

// record writes an event as the operator does, with the outcome that was found out, and returns its version.
func record(ctx context.Context, f fact, where string) (version string, err error) {
	event := eventOf(f, where)
	if err := world.operator.Create(ctx, event); err != nil {
		return "", fmt.Errorf("recording a change of %s: %w", f.object, err)
	}
	version = event.ResourceVersion
	if f.outcome == "" || f.outcome == v1alpha1.OutcomePersisted {
		return version, nil
	}
	before := client.MergeFrom(event.DeepCopy())
	event.Status = v1alpha1.AuditEventStatus{Outcome: f.outcome, Message: f.message, RecordedResourceVersion: event.ResourceVersion}
	return version, world.operator.Status().Patch(ctx, event, before)
}

func eventOf(f fact, where string) *v1alpha1.AuditEvent {
	at := time.Now().Add(-f.ago)
	id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy())
	trail := world.trails[where]
	if trail == nil {
		trail = world.trails[tenant]
	}
	plural, ok := plurals[f.kind]
	if !ok {
		plural = [3]string{"example.com", "v1", strings.ToLower(f.kind) + "s"}
	}
	actor := v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: f.user, Groups: []string{"system:authenticated"}}
	if strings.HasPrefix(f.user, "system:serviceaccount:") {
		actor.Type = v1alpha1.ActorServiceAccount
	}
	return &v1alpha1.AuditEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: where, Name: strings.ToLower(id.String())},
		Spec: v1alpha1.AuditEventSpec{
			ID: f.id, Time: metav1.NewMicroTime(at), Action: f.action, Level: v1alpha1.LevelChanges,
			TrailRef: v1alpha1.TrailReference{Namespace: where, Name: trail.Name, UID: string(trail.UID)},
			Actor:    actor,
			Resource: v1alpha1.ResourceReference{
				Group: plural[0], Version: plural[1], Resource: plural[2], Kind: f.kind, Namespace: f.place, Name: f.object,
				UID: string(types.UID(fmt.Sprintf("%s-%s-%.20s", f.kind, f.place, f.object))),
			},
			Request: &v1alpha1.RequestInfo{UID: id.String(), FieldManager: "kubectl-client-side-apply"},
			Note:    f.note, Changes: f.changes,
		},
	}
}

// madeTrail is a trail, and what the operator would say of it.
type madeTrail struct {
	*v1alpha1.AuditTrail
	status v1alpha1.AuditTrailStatus
}

// judge says of the trails what the operator would, which is not there to do it: also that all changes up to a version were
// looked at.
func judge(ctx context.Context, trails []madeTrail, version string) error {
	for _, trail := range trails {
		before := client.MergeFrom(trail.DeepCopy())
		if trail.status.Delivery != nil {
			trail.status.Delivery.ResourceVersion = version
		}
		trail.Status = trail.status
		if err := world.operator.Status().Patch(ctx, trail.AuditTrail, before); err != nil {
			return fmt.Errorf("saying how the trail %s is: %w", trail.Name, err)
		}
	}
	return nil
}

// addTrails makes trails in the states that the page tells apart.
func addTrails(ctx context.Context) ([]madeTrail, error) {
	watch := func(group string) *v1alpha1.CloudWatchDestination {
		return &v1alpha1.CloudWatchDestination{Region: "eu-west-1", LogGroupName: group, Auth: v1alpha1.Auth{
			Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws-credentials"}},
		}}
	}
	condition := func(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
	}
	good := func(kind string) metav1.Condition {
		return condition(kind, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "All is well.")
	}
	world.trails = map[string]*v1alpha1.AuditTrail{}
	var trails []madeTrail
	for _, each := range []struct {
		namespace, name string
		spec            v1alpha1.AuditTrailSpec
		status          v1alpha1.AuditTrailStatus
	}{
		{tenant, "everything", v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeCloudWatch, CloudWatch: watch("/audit/production")}, v1alpha1.AuditTrailStatus{
			Scope: v1alpha1.ScopeTenant, Conditions: []metav1.Condition{good("Ready"), good("CredentialsValid"), good("DestinationReady"), good("Delivering"), good("Recording")},
			Delivery: &v1alpha1.DeliveryStatus{Delivered: 184_220, LastDeliveredTime: new(metav1.Now())},
		}},
		{"shop", "shop", v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeCloudWatch, CloudWatch: watch("/audit/shop")}, v1alpha1.AuditTrailStatus{
			Scope: v1alpha1.ScopeProject, Conditions: []metav1.Condition{
				condition("Ready", metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed, "An IAM policy refuses logs:PutLogEvents. Add it to the policy of the identity arn:aws:iam::123456789012:user/audit; nothing is lost meanwhile."),
				good("CredentialsValid"), condition("Delivering", metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed, "An IAM policy refuses logs:PutLogEvents."),
			},
			Delivery: &v1alpha1.DeliveryStatus{Delivered: 912},
		}},
		{tenant, "people-only", v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeClusterOnly, Suspend: new(true)}, v1alpha1.AuditTrailStatus{Scope: v1alpha1.ScopeTenant}},
	} {
		trail := &v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Namespace: each.namespace, Name: each.name}, Spec: each.spec}
		if err := testenv.Create(ctx, world.admin, trail); err != nil {
			return nil, err
		}
		if world.trails[each.namespace] == nil {
			world.trails[each.namespace] = trail
		}
		trails = append(trails, madeTrail{trail, each.status})
	}
	return trails, nil
}
