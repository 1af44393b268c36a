package scenario

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
)

const (
	// creators is how many events are created at once.
	creators = 32
	oldValue = "colour=grey"
)

// backlog makes AuditEvents as the recorder would have: updates of ConfigMaps that exist, each of a key of its own, so
// that the ConfigMaps show that all of them stuck.
type backlog struct {
	rig      *Rig
	trail    *v1alpha1.AuditTrail
	digester audit.Digester
	// name begins the names of the ConfigMaps.
	name    string
	objects []corev1.ConfigMap
	count   int
	// apart is the time between the events; 0 takes that at which they are stored.
	apart time.Duration
}

// newBacklog makes the ConfigMaps that count events are about.
func (r *Rig) newBacklog(ctx context.Context, trail *v1alpha1.AuditTrail, objects, count int) (*backlog, error) {
	return r.newNamedBacklog(ctx, trail.Namespace, trail, objects, count)
}

// newNamedBacklog is for trails that have several.
func (r *Rig) newNamedBacklog(ctx context.Context, name string, trail *v1alpha1.AuditTrail, objects, count int) (*backlog, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: testenv.OperatorNamespace, Name: "trailkeeper-digest-key"}
	if err := r.admin.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading the key of digests: %w", err)
	}
	b := &backlog{
		rig: r, trail: trail, name: name, digester: audit.NewDigester(secret.Data["key"]),
		objects: make([]corev1.ConfigMap, objects), count: count,
	}
	return b, load.Each(ctx, creators, objects, func(ctx context.Context, i int) error {
		b.objects[i] = b.object(i)
		return testenv.Create(ctx, r.admin, &b.objects[i])
	})
}

// object is a ConfigMap as all of its events left it. It is where no webhook is called, so that making it is not recorded.
func (b *backlog) object(i int) corev1.ConfigMap {
	object := corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: bareNamespace, Name: fmt.Sprintf("%s-%d", b.name, i)},
		Data:       map[string]string{},
	}
	for number := i; number < b.count; number += len(b.objects) {
		object.Data[b.keyOf(number)] = valueOf(number)
	}
	return object
}

// store creates all events.
func (b *backlog) store(ctx context.Context) error {
	return load.Each(ctx, creators, b.count, b.storeOne)
}

// storeOne stores one event as the API server does. It goes past the API server, which would take several times as long to store
// events as they take to be delivered.
func (b *backlog) storeOne(ctx context.Context, number int) error {
	event := b.event(number)
	event.UID, event.Generation = uuid.NewUUID(), 1
	event.CreationTimestamp = metav1.NewTime(event.Spec.Time.Truncate(time.Second))
	event.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: "manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: event.APIVersion, Time: &event.CreationTimestamp,
		FieldsType: "FieldsV1",
		FieldsV1:   metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:` + v1alpha1.TrailLabel + `":{}}},"f:spec":{}}`),
	}}
	return b.rig.env.PutInEtcd(ctx, v1alpha1.AuditEventsResource.GroupResource(), event)
}

func (b *backlog) keyOf(number int) string { return "key-" + strconv.Itoa(number/len(b.objects)) }

func valueOf(number int) string { return "colour=teal-" + strconv.Itoa(number) }

// event is one update. Neighbours are about different objects.
func (b *backlog) event(number int) *v1alpha1.AuditEvent {
	now := time.Now().Add(-time.Duration(b.count-1-number) * b.apart)
	object := &b.objects[number%len(b.objects)]
	pointer := "/data/" + b.keyOf(number)
	return &v1alpha1.AuditEvent{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "AuditEvent"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.trail.Namespace,
			Name:      strings.ToLower(ulid.MustNewDefault(now).String()),
			Labels:    map[string]string{v1alpha1.TrailLabel: b.trail.Name},
		},
		Spec: v1alpha1.AuditEventSpec{
			ID:       b.digester.Digest(number),
			Time:     metav1.NewMicroTime(now.UTC()),
			Action:   v1alpha1.ActionUpdate,
			TrailRef: v1alpha1.TrailReference{Namespace: b.trail.Namespace, Name: b.trail.Name, UID: string(b.trail.UID)},
			Actor:    deployer(),
			Resource: v1alpha1.ResourceReference{
				Version: "v1", Resource: "configmaps", Kind: "ConfigMap",
				Namespace: object.Namespace, Name: object.Name, UID: string(object.UID),
				// The object's versions so far, all of them before the one it has now.
				ResourceVersion: strconv.Itoa(1 + number/len(b.objects)),
			},
			Request: &v1alpha1.RequestInfo{UID: string(object.UID), FieldManager: "deployer"},
			Level:   v1alpha1.LevelChanges,
			Changes: []v1alpha1.Change{{
				Op: "replace", Path: &pointer, From: jsonOf(oldValue), Value: jsonOf(valueOf(number)),
			}},
			Evidence: []v1alpha1.Evidence{{
				Path: pointer, Was: b.digester.Digest(oldValue), Digest: b.digester.Digest(valueOf(number)),
			}},
		},
	}
}

// deployer is an actor as a pod's service account is one; it makes the stored event about 1.4 KB.
func deployer() v1alpha1.Actor {
	return v1alpha1.Actor{
		Type:     v1alpha1.ActorServiceAccount,
		Username: "system:serviceaccount:" + backlogNamespace + ":deployer",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + backlogNamespace, "system:authenticated"},
	}
}

func jsonOf(text string) *runtime.RawExtension {
	return &runtime.RawExtension{Raw: []byte(strconv.Quote(text))}
}
