package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/spill"
)

// createTimeout is how long the API server may take to store an event, in whichever namespace; what is left of the webhook's
// own time-out is for the pod of an eviction, the spill file and the answer.
const createTimeout = 3 * time.Second

// spiller keeps events in a local file until the API server takes them.
type spiller interface {
	Append(ctx context.Context, record spill.Record) error
}

// Store records events in the API server, and in the local file when that cannot be.
type Store struct {
	client    rest.Interface
	namespace string
	spill     spiller
	position  func() string
	metrics   *metrics.Recorder
}

// NewStore returns a Store. Events of namespaces that are being deleted are kept in the operator's namespace. The
// client must not limit its own rate. position is a resourceVersion of the present or before it; empty when none is known.
func NewStore(client rest.Interface, operatorNamespace string, spill spiller, position func() string, metrics *metrics.Recorder) *Store {
	return &Store{client: client, namespace: operatorNamespace, spill: spill, position: position, metrics: metrics}
}

// errDisowned says that an event is only in the local file of a replica that the API server does not know any more: its pod was
// deleted, and the file goes with it.
var errDisowned = errors.New("this replica's identity is not accepted any more")

// Record stores an event durably and returns where it is. It fails when neither the API server nor the local file takes
// it, and with errDisowned when the local file is unlikely to last.
func (s *Store) Record(ctx context.Context, event *v1alpha1.AuditEvent, durability v1alpha1.Durability) (types.NamespacedName, error) {
	// The event is recorded even when the API server gives up waiting: the change may still be admitted.
	ctx = context.WithoutCancel(ctx)
	key := types.NamespacedName{Namespace: event.Namespace, Name: event.Name}
	if durability == v1alpha1.DurabilityLocal && s.keep(ctx, event) == nil {
		s.metrics.EventStored(metrics.StoredLocal)
		return key, nil
	}
	body, err := json.Marshal(event)
	if err != nil {
		return key, fmt.Errorf("encoding an AuditEvent: %w", err)
	}
	stored, createErr := s.Create(ctx, key, body)
	if createErr == nil {
		s.metrics.EventStored(metrics.StoredReplicated)
		return stored, nil
	}
	if err := s.keep(ctx, event); err != nil {
		return key, fmt.Errorf("creating an AuditEvent: %w; keeping it in the local file: %w", createErr, err)
	}
	s.metrics.EventStored(metrics.StoredSpilled)
	if apierrors.IsUnauthorized(createErr) {
		return key, fmt.Errorf("%w: %w", errDisowned, createErr)
	}
	return key, nil
}

// keep stores an event in the local file, marked as one that delivery sees later than others of its time, with what is known of when
// that was.
func (s *Store) keep(ctx context.Context, event *v1alpha1.AuditEvent) error {
	marked := *event
	marked.Annotations = map[string]string{v1alpha1.KeptLocallyAnnotation: s.position()}
	body, err := json.Marshal(&marked)
	if err != nil {
		return fmt.Errorf("encoding an AuditEvent: %w", err)
	}
	return s.spill.Append(ctx, spill.Record{Namespace: event.Namespace, Name: event.Name, Body: body})
}

// Create stores an encoded event in the API server. An event that is there already was stored by an earlier try. When
// the namespace takes no new objects, because it is being deleted or gone, or does not take this one, the operator's
// namespace takes the event.
func (s *Store) Create(ctx context.Context, key types.NamespacedName, body []byte) (types.NamespacedName, error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	err := s.post(ctx, key.Namespace, body)
	if isClosed(err) && key.Namespace != s.namespace {
		if body, err = inNamespace(body, s.namespace); err != nil {
			return key, err
		}
		key.Namespace = s.namespace
		err = s.post(ctx, key.Namespace, body)
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return key, err
	}
	return key, nil
}

// isClosed says that the namespace is being deleted, or gone, or that somebody closed it to events: a quota is its owner's to
// make, and would keep events of everybody waiting in the local file.
func isClosed(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
}

func (s *Store) post(ctx context.Context, namespace string, body []byte) error {
	return s.client.Post().
		AbsPath("/apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version,
			"namespaces", namespace, v1alpha1.AuditEventsResource.Resource).
		SetHeader("Content-Type", "application/json").
		// The recorder encodes the type itself: looking for fields that it does not have is work on the admission path.
		Param("fieldValidation", string(metav1.FieldValidationIgnore)).
		// The answer would repeat the whole event.
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").
		Body(body).
		Do(ctx).
		Error()
}

// podTimeout is how long a pod may take to be read while its eviction waits.
const podTimeout = time.Second

// Pod is the metadata of a pod as JSON; nil when there is none of that name.
func (s *Store) Pod(ctx context.Context, namespace, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, podTimeout)
	defer cancel()
	pod, err := s.client.Get().AbsPath("/api/v1/namespaces", namespace, "pods", name).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").
		DoRaw(ctx)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the pod %s/%s: %w", namespace, name, err)
	}
	return pod, nil
}

func inNamespace(body []byte, namespace string) ([]byte, error) {
	var event v1alpha1.AuditEvent
	if err := json.Unmarshal(body, &event); err != nil {
		return nil, fmt.Errorf("decoding an AuditEvent to move it: %w", err)
	}
	event.Namespace = namespace
	moved, err := json.Marshal(&event)
	if err != nil {
		return nil, fmt.Errorf("encoding an AuditEvent to move it: %w", err)
	}
	return moved, nil
}
