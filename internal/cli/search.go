package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

// search is a question, and where its answer is looked for.
type search struct {
	*session
	client client.Client
	query.Query
	// namespaces are those of trails, which the user may read.
	namespaces []string
	trails     []v1alpha1.AuditTrail
	// archives are the log streams that are read.
	archives []*archive.Place
	// oldest is the oldest event in the cluster; zero when there is none.
	oldest time.Time
}

// search finds out where the selection's events may be. Objects of a namespace are in what that namespace's trails recorded, and
// the trails that see the whole cluster.
func (s *session) search(ctx context.Context, sel *selection) (*search, error) {
	filter, err := sel.filter(s.Clock.Now())
	if err != nil {
		return nil, err
	}
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	found := &search{session: s, client: c, Query: query.Query{Filter: filter}}
	if err := found.findNamespaces(ctx, sel.allNamespaces); err != nil {
		return nil, err
	}
	judged := query.JudgedBy(found.trails)
	for _, namespace := range found.namespaces {
		found.Places = append(found.Places, &query.Cluster{Reader: c, Namespace: namespace, Judged: judged})
	}
	return found, found.findArchives(ctx, sel)
}

// findNamespaces finds the namespaces with trails that may have recorded what is asked for, and that the user may read.
func (f *search) findNamespaces(ctx context.Context, everywhere bool) error {
	var wanted []string
	if everywhere {
		var trails v1alpha1.AuditTrailList
		if err := f.client.List(ctx, &trails); err != nil {
			return refused(fmt.Errorf("listing the trails of all namespaces: %w", err), viewerRole, "")
		}
		for i := range trails.Items {
			wanted = append(wanted, trails.Items[i].Namespace)
		}
	} else {
		namespace, err := f.namespace()
		if err != nil {
			return err
		}
		f.Filter.Namespace, wanted = namespace, append(wanted, namespace)
	}
	wanted = append(wanted, f.operatorNamespace)
	slices.Sort(wanted)
	var first error
	for _, namespace := range slices.Compact(wanted) {
		err := f.addNamespace(ctx, namespace)
		switch {
		case err == nil:
		case !apierrors.IsForbidden(err):
			return refused(err, viewerRole, namespace)
		case first == nil || namespace == f.Filter.Namespace:
			first = refused(err, viewerRole, namespace)
		}
	}
	if len(f.namespaces) == 0 {
		return first
	}
	return nil
}

// addNamespace looks whether the user may read a namespace's events, and how far back they go. The oldest name comes first.
func (f *search) addNamespace(ctx context.Context, namespace string) error {
	var events v1alpha1.AuditEventList
	if err := f.client.List(ctx, &events, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("listing the AuditEvents of namespace %s: %w", namespace, err)
	}
	if len(events.Items) > 0 {
		if at := events.Items[0].Spec.Time.Time; f.oldest.IsZero() || at.Before(f.oldest) {
			f.oldest = at
		}
	}
	f.namespaces = append(f.namespaces, namespace)
	var trails v1alpha1.AuditTrailList
	err := f.client.List(ctx, &trails, client.InNamespace(namespace))
	if apierrors.IsForbidden(err) { // Events can be read without the trails, but nobody then says which outcomes are known.
		return nil
	}
	f.trails = append(f.trails, trails.Items...)
	return err
}

// tellCompleteness says from when on the answer has everything, where it does not begin where it was asked to.
func (f *search) tellCompleteness() {
	f.tellFailures()
	if f.Filter.Start.IsZero() && len(f.archives) == 0 && !f.oldest.IsZero() {
		f.say("The cluster has events from %s on. Older ones are read from CloudWatch Logs when --since or --start asks for them.", moment(f.oldest))
	}
}

// tellFailures says what could not be read of log streams.
func (f *search) tellFailures() {
	for _, place := range f.archives {
		if err := place.Failure(); err != nil {
			f.say("Older events of trail %s are missing: the answer has all of it from %s on.", place.Name(), moment(place.Oldest))
			f.say("→ %v", err)
		}
	}
}

// errNothingToRead is that the user wants CloudWatch Logs, and no trail is pushed there.
var errNothingToRead = errors.New("--from-cloudwatch: none of the trails that you may read pushes to CloudWatch Logs")

// findArchives finds the log streams that have what the cluster has no longer.
func (f *search) findArchives(ctx context.Context, sel *selection) error {
	var candidates []*archive.Place
	for i := range f.trails {
		if trail := &f.trails[i]; archive.Has(trail) && (f.Filter.Trail == "" || f.Filter.Trail == trail.Name) {
			candidates = append(candidates, archiveOf(trail))
		}
	}
	if err := archive.FindOldest(ctx, f.client, nil, candidates); err != nil {
		return err
	}
	for _, place := range candidates {
		if sel.fromCloudWatch || !f.Filter.Start.IsZero() && f.Filter.Start.Before(place.Oldest) {
			place.Whole, place.Strict = sel.fromCloudWatch, sel.fromCloudWatch
			f.archives = append(f.archives, place)
			f.Places = append(f.Places, place)
		}
	}
	if sel.fromCloudWatch && len(f.archives) == 0 {
		return errNothingToRead
	}
	return nil
}
