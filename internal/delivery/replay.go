package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// remembered is for how long a creation can be looked for in what the API server's watch cache remembers: 75 seconds at least
	// (eventFreshDuration of k8s.io/apiserver).
	remembered = time.Minute
	// replayTime is how long the API server shows what it remembers. It shows it at once, and goes on with what comes: that it ends
	// no more than replayDelay late is taken for the sign that nothing held it up.
	replayTime  = time.Second
	replayDelay = 500 * time.Millisecond
	// maxReplayed bounds the creations that are looked for at once.
	maxReplayed = 32
)

// appeared says whether an object, by its uid, was there at any time after a revision. It fails when nobody can tell any more.
func (o *objects) appeared(ctx context.Context, ref *v1alpha1.ResourceReference, since uint64) (bool, error) {
	if err := o.shareRevisions(ctx, ref); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTime+replayDelay)
	defer cancel()
	began := time.Now()
	shown, err := o.client.Get().AbsPath(collectionPath(ref)).
		Param("watch", "true").
		Param("fieldSelector", fields.OneTermEqualSelector("metadata.name", ref.Name).String()).
		Param("resourceVersion", formatVersion(since)).
		Param("timeoutSeconds", strconv.Itoa(int(replayTime.Seconds()))).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json").
		Stream(ctx)
	if err != nil {
		return false, fmt.Errorf("watching what %s %s/%s was: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	defer func() { _ = shown.Close() }()
	for frames := newStream(shown); ; {
		read, err := frames.value()
		if errors.Is(err, io.EOF) && time.Since(began) >= replayTime {
			return false, nil
		}
		if err != nil {
			return false, errors.Join(errTrackLost, err)
		}
		kind, meta, err := readMetaFrame(read)
		switch {
		case err != nil:
			return false, err
		case kind == "ERROR":
			return false, errors.Join(errTrackLost, failureOf(read))
		case string(meta.UID) == ref.UID:
			return true, nil
		}
	}
}

// shareRevisions fails when such objects do not count with the AuditEvents: then the revision of an event says nothing of them.
func (o *objects) shareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error {
	// In one namespace and by name, the API server looks at one place; otherwise at all events.
	anyEvent := &v1alpha1.ResourceReference{
		Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: v1alpha1.AuditEventsResource.Resource,
		Namespace: metav1.NamespaceDefault, Name: "none",
	}
	var revisions [3]uint64
	for i, of := range []*v1alpha1.ResourceReference{anyEvent, ref, anyEvent} {
		var err error
		if _, revisions[i], err = o.at(ctx, of, 0); err != nil {
			return err
		}
	}
	if !slices.IsSorted(revisions[:]) {
		return errTrackLost
	}
	return nil
}

// readMetaFrame reads what kind of frame of a watch it is, and its object's metadata.
func readMetaFrame(read []byte) (kind string, meta objectMeta, err error) {
	s := scan{data: read}
	s.object(func(name []byte) {
		switch string(name) {
		case "type":
			kind = s.text()
		case "object":
			if object := s.raw(); s.err == nil {
				meta, _, _, err = readMeta(object)
			}
		default:
			s.raw()
		}
	})
	return kind, meta, errors.Join(s.err, err)
}

// recall looks for objects whose creation is in doubt, in what the API server remembers: who was created and deleted at once is not
// there any more when it is read. behind says that events were recorded that are not known yet.
func (j *judge) recall(ctx context.Context, events []Event, verdicts []verdict, behind bool) {
	var group sync.WaitGroup
	replayed := 0
	for i := range events {
		// An eviction of a pod that is going already is not recorded, and may have met the next one of the name.
		only := (behind || events[i].Head.Resource.Resource == "pods") && verdicts[i].isOnlyRead(&events[i])
		if !j.canRecall(&events[i]) || verdicts[i].Judgement != goneSince && !only {
			continue
		}
		if replayed++; replayed > maxReplayed {
			break
		}
		group.Go(func() { j.recallOne(ctx, &events[i], &verdicts[i]) })
	}
	group.Wait()
	if replayed > 0 {
		denyEvictions(events, verdicts)
	}
}

func (j *judge) recallOne(ctx context.Context, event *Event, v *verdict) {
	ref := &event.Head.Resource
	appeared, err := j.objects.appeared(ctx, ref, event.ResourceVersion)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
		j.unwatched.add(ref, j.clock.Now())
	case err != nil:
		log.FromContext(ctx).V(1).Info("Judging a creation without what the API server remembers", "cause", err.Error(),
			"resource", ref.Resource, "namespace", ref.Namespace, "name", ref.Name)
	case appeared:
		*v = verdict{Judgement: persisted}
	default:
		*v = verdict{Judgement: notPersisted}
	}
}

// canRecall says that the API server may remember whether the event's object was ever there.
func (j *judge) canRecall(event *Event) bool {
	now := j.clock.Now()
	return event.Head.Action == v1alpha1.ActionCreate && event.Head.Resource.UID != "" && !event.Late && !event.Straggler && event.Status.Outcome == "" &&
		now.Sub(event.Head.Time.Time) < remembered && !j.unwatched.has(&event.Head.Resource, now)
}

// denyEvictions judges the evictions that found no pod, and may have found one only that was never there.
func denyEvictions(events []Event, verdicts []verdict) {
	never := map[string]bool{}
	for i := range events {
		if events[i].Head.Action == v1alpha1.ActionCreate && verdicts[i].Judgement == notPersisted && verdicts[i].seen == nil {
			never[events[i].Head.Resource.UID] = true
		}
	}
	for i := range events {
		if foundNone(&events[i].Head) && never[events[i].Head.Resource.UID] {
			verdicts[i] = verdict{Judgement: notPersisted}
		}
	}
}
