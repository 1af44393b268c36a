package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/chunk"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
)

// drainChunks stores chunks of a trail that is suspended, and then has their events delivered.
func (r *Rig) drainChunks(ctx context.Context, objects, events int) (*drain, error) {
	trail, err := r.suspended(ctx, backlogNamespace)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := r.storeChunks(ctx, trail, objects, events); err != nil {
		return nil, err
	}
	r.say("Stored %d events in chunks in %.0f s", events, time.Since(began).Seconds())
	if err := r.restartDelivery(ctx); err != nil {
		return nil, err
	}
	return r.delivery(ctx, trail, events, func() error { return r.suspend(ctx, trail, false) })
}

// storeChunks stores events as the manager packs them. Each has a revision of etcd's, as if it had been stored singly before.
func (r *Rig) storeChunks(ctx context.Context, trail *v1alpha1.AuditTrail, objects, events int) error {
	r.drains++
	backlog, err := r.newNamedBacklog(ctx, fmt.Sprintf("%s-%d", trail.Namespace, r.drains), trail, objects, 0)
	if err != nil {
		return err
	}
	backlog.count = events
	version, err := r.listedAt(ctx, trail.Namespace, "")
	if err != nil {
		return err
	}
	if err := load.Each(ctx, creators, events, func(ctx context.Context, _ int) error { return r.env.PassRevision(ctx) }); err != nil {
		return err
	}
	var writer chunk.Writer
	for number := range events {
		version++
		if err := backlog.pack(&writer, number, version); err != nil {
			return err
		}
		if writer.Size() < delivery.MaxChunk && writer.Count() < delivery.MaxChunkEvents && number < events-1 {
			continue
		}
		if err := r.storeChunk(ctx, trail, &writer); err != nil {
			return err
		}
	}
	return nil
}

func (b *backlog) pack(writer *chunk.Writer, number int, version uint64) error {
	event := b.event(number)
	spec, err := json.Marshal(&event.Spec)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	return writer.Add(&chunk.Entry{
		Namespace: event.Namespace, Name: event.Name, ResourceVersion: version, Outcome: v1alpha1.OutcomePersisted, Spec: spec,
	})
}

// storeChunk stores what a writer has, past the API server's checks of who may.
func (r *Rig) storeChunk(ctx context.Context, trail *v1alpha1.AuditTrail, writer *chunk.Writer) error {
	packed, err := writer.Finish()
	if err != nil {
		return err
	}
	object := delivery.NewChunk(testenv.OperatorNamespace, trail, &packed)
	object.APIVersion, object.Kind = v1alpha1.GroupVersion.String(), "AuditEventChunk"
	object.UID, object.Generation, object.CreationTimestamp = uuid.NewUUID(), 1, metav1.Now()
	return r.env.PutInEtcd(ctx, v1alpha1.GroupVersion.WithResource("auditeventchunks").GroupResource(), object)
}
