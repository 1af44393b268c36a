package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/internal/metrics"
	"github.com/trailkeeper/trailkeeper/internal/pause"
)

const (
	// listTimeout bounds one look at an object.
	listTimeout = 5 * time.Second
	// watchTimeout is how long the API server keeps one watch open, at least; half as much again is added at random, so
	// that watches do not end together.
	watchTimeout = 5 * time.Minute
	// jitter is the part of a pause that is added at random.
	jitter = 0.5
)

// pauses are between one try and the next.
type pauses struct {
	// retry is the first after an error or a refusal; it doubles up to slowest.
	retry, slowest time.Duration
	// settle is the shortest between two changes that are told, however often an object changes.
	settle time.Duration
}

// errEnded says that the API server ended a watch, as it does with every watch after a while.
var errEnded = errors.New("the watch ended")

// follower follows one object for all trails that refer to it.
type follower struct {
	owner  *Followers
	object Object
	// trails and cancel are guarded by the owner's lock; cancel is nil until the follower runs.
	trails map[types.NamespacedName]bool
	cancel context.CancelFunc

	first sync.Once
	// version is the state of the object that was seen last, "" when there was none; known is false until it was looked
	// at. After begin they belong to run.
	version string
	known   bool
}

func newFollower(owner *Followers, object Object) *follower {
	return &follower{owner: owner, object: object, trails: map[types.NamespacedName]bool{}}
}

// begin looks at the object for the first time: what differs from this later is a change.
func (f *follower) begin(ctx context.Context) {
	f.first.Do(func() {
		if version, _, err := f.look(ctx); err == nil {
			f.version, f.known = version, true
		}
	})
}

// run follows until the context ends. Being refused is no error: whoever granted get alone wants no more, and the trail
// says SecretNotReadable if it lacks that too.
func (f *follower) run(ctx context.Context) {
	pauses := f.owner.options.pauses
	retry := pauses.backoff()
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		rest, cause := pauses.retry, metrics.CauseError
		switch {
		case errors.Is(err, errEnded):
			retry, cause = pauses.backoff(), metrics.CauseEnded
		case apierrors.IsForbidden(err):
			// An API server that has just started refuses at first, because it does not know the roles yet.
			rest, cause = retry.Step(), metrics.CauseRefused
		default:
			log.FromContext(ctx).V(1).Info("Following an object again after a pause",
				"kind", f.object.Kind, "object", f.object.String(), "error", err.Error())
			rest = retry.Step()
		}
		f.owner.options.Metrics.Restarted(cause)
		pause.For(ctx, wait.Jitter(rest, jitter))
	}
}

// follow looks at the object and then watches it from there, for as long as one watch lasts.
func (f *follower) follow(ctx context.Context) error {
	version, from, err := f.look(ctx)
	if err != nil {
		return err
	}
	f.see(ctx, version)
	lasts := watchTimeout + rand.N(watchTimeout/2) //nolint:gosec // Spreading load needs no secrecy.
	ctx, cancel := context.WithTimeout(ctx, lasts+listTimeout)
	defer cancel()
	seconds := int64(lasts.Seconds())
	list := f.list()
	changes, err := f.owner.options.Client.Watch(ctx, list, f.only(&metav1.ListOptions{
		ResourceVersion: from, TimeoutSeconds: &seconds, AllowWatchBookmarks: true,
	}))
	if err != nil {
		return fmt.Errorf("watching %s %s: %w", f.object.Kind, f.object, err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		switch change.Type {
		case watch.Added, watch.Modified:
			f.see(ctx, versionOf(change.Object))
		case watch.Deleted:
			f.see(ctx, "")
		case watch.Error:
			return fmt.Errorf("watching %s %s: %w", f.object.Kind, f.object, apierrors.FromObject(change.Object))
		case watch.Bookmark:
		}
	}
	return errEnded
}

// look returns the object's state, and the resourceVersion from where to watch.
func (f *follower) look(ctx context.Context) (version, from string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list := f.list()
	if err := f.owner.options.Client.List(ctx, list, f.only(&metav1.ListOptions{})); err != nil {
		return "", "", fmt.Errorf("looking at %s %s: %w", f.object.Kind, f.object, err)
	}
	if len(list.Items) > 0 {
		version = versionOf(&list.Items[0])
	}
	return version, list.ResourceVersion, nil
}

// see tells the trails when the object's state is not the one that was seen last.
func (f *follower) see(ctx context.Context, version string) {
	if f.known && f.version == version {
		return
	}
	f.version, f.known = version, true
	f.owner.tell(ctx, f)
	pause.For(ctx, f.owner.options.pauses.settle)
}

// only selects the object by its name, which is what the right to list and watch it is bound to.
func (f *follower) only(raw *metav1.ListOptions) *client.ListOptions {
	return &client.ListOptions{
		Namespace:     f.object.Namespace,
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, f.object.Name),
		Raw:           raw,
	}
}

func (f *follower) list() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: string(f.object.Kind) + "List"})
	return list
}

// versionOf is a state of an object. An object that was made again under its name has another uid.
func versionOf(object any) string {
	meta, ok := object.(metav1.Object)
	if !ok {
		return ""
	}
	return string(meta.GetUID()) + "/" + meta.GetResourceVersion()
}

func (p *pauses) backoff() *wait.Backoff {
	return &wait.Backoff{Duration: p.retry, Factor: 2, Steps: 10, Cap: p.slowest}
}
