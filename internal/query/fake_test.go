package query

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// fakeAPI lists AuditEvents as the API server does: in the order of their names, in pages, filtered by fields.
type fakeAPI struct {
	client.Reader // Anything else panics.

	events []v1alpha1.AuditEvent
	chunks []v1alpha1.AuditEventChunk
	lists  int
	// largest is how many events the largest list had.
	largest int
	opened  int
	// byName counts the lists of a single name.
	byName int
	// expired makes it forget the versions of earlier pages.
	expired bool
}

func (f *fakeAPI) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	asked := (&client.ListOptions{}).ApplyOptions(options)
	if page, ok := into.(*metav1.PartialObjectMetadataList); ok {
		return f.listChunks(page, asked)
	}
	page, ok := into.(*v1alpha1.AuditEventList)
	if !ok {
		return errors.New("only AuditEvents can be listed")
	}
	f.lists++
	f.countByName(asked)
	start := ""
	if asked.Continue != "" {
		token, err := base64.RawURLEncoding.DecodeString(asked.Continue)
		if err != nil {
			return err
		}
		var decoded continueToken
		if err := json.Unmarshal(token, &decoded); err != nil {
			return err
		}
		if f.expired && decoded.ResourceVersion > 0 {
			return apierrors.NewResourceExpired("too old")
		}
		start = decoded.StartKey
	}
	slices.SortFunc(f.events, func(x, y v1alpha1.AuditEvent) int { return cmp.Compare(x.Name, y.Name) })
	page.ResourceVersion = "1000"
	for i := range f.events {
		event := &f.events[i]
		if event.Namespace != asked.Namespace || event.Name < start || asked.FieldSelector != nil && !asked.FieldSelector.Matches(fieldsOf(event)) {
			continue
		}
		if int64(len(page.Items)) == asked.Limit {
			page.Continue = "more"
			break
		}
		page.Items = append(page.Items, *event)
	}
	if weightOf(page.Items) > maxListBytes {
		return errTooLarge
	}
	f.largest = max(f.largest, len(page.Items))
	return nil
}

func (f *fakeAPI) countByName(asked *client.ListOptions) {
	if asked.FieldSelector == nil {
		return
	}
	if _, one := asked.FieldSelector.RequiresExactMatch("metadata.name"); one {
		f.byName++
	}
}

func fieldsOf(event *v1alpha1.AuditEvent) fields.Set {
	return fields.Set{
		"metadata.name": event.Name, v1alpha1.FieldTrail: event.Spec.TrailRef.Name, v1alpha1.FieldAction: string(event.Spec.Action),
		v1alpha1.FieldKind: event.Spec.Resource.Kind, v1alpha1.FieldResourceNamespace: event.Spec.Resource.Namespace,
		v1alpha1.FieldResourceName: event.Spec.Resource.Name, v1alpha1.FieldUsername: event.Spec.Actor.Username,
	}
}

func (f *fakeAPI) listChunks(page *metav1.PartialObjectMetadataList, asked *client.ListOptions) error {
	for i := range f.chunks {
		meta := metav1.PartialObjectMetadata{ObjectMeta: f.chunks[i].ObjectMeta}
		if asked.LabelSelector.Matches(labelsOf(&meta)) {
			page.Items = append(page.Items, meta)
		}
	}
	return nil
}

func (f *fakeAPI) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	f.opened++
	for i := range f.chunks {
		if f.chunks[i].Name == key.Name {
			f.chunks[i].DeepCopyInto(into.(*v1alpha1.AuditEventChunk))
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "auditeventchunks"}, key.Name)
}

// event makes an event with a name of its own.
func event(at time.Time, number int) v1alpha1.AuditEvent {
	name := FirstName(at)[:10] + fmt.Sprintf("%016s", strconv.FormatInt(int64(number), 10))
	actions := []v1alpha1.Action{v1alpha1.ActionCreate, v1alpha1.ActionUpdate, v1alpha1.ActionDelete}
	made := v1alpha1.AuditEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: strconv.Itoa(number + 1)},
		Spec: v1alpha1.AuditEventSpec{
			ID: "id-" + name, Time: metav1.NewMicroTime(at), Action: actions[number%3],
			TrailRef: v1alpha1.TrailReference{Namespace: "shop", Name: "trail-" + strconv.Itoa(number%2), UID: strconv.Itoa(number % 2)},
			Actor:    v1alpha1.Actor{Username: "user-" + strconv.Itoa(number%5), UID: "uid-" + strconv.Itoa(number%5)},
			Resource: v1alpha1.ResourceReference{
				Kind: []string{"Project", "SpectroCluster", "ConfigMap"}[number/3%3], Name: "name-" + strconv.Itoa(number%7),
				Namespace: "ns-" + strconv.Itoa(number%4), UID: "object-" + strconv.Itoa(number%6),
			},
		},
	}
	if number%11 == 0 {
		made.Status.Outcome = v1alpha1.OutcomeNotPersisted
	}
	return made
}
