package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
)

// scope is where a request's events are, as far as the caller may read them.
type scope struct {
	places []query.Place
	// trails are those whose events the caller may read.
	trails []*v1alpha1.AuditTrail
}

// scope finds the cluster's own places. What trails pushed is added where it is wanted.
func (s *server) scope(ctx context.Context, caller client.Client, project string) (*scope, error) {
	trails := &v1alpha1.AuditTrailList{}
	if err := s.options.Trails.List(ctx, trails); err != nil {
		return nil, fmt.Errorf("listing trails: %w", err)
	}
	namespaces, err := s.namespaces(ctx, caller, project, trails)
	if err != nil {
		return nil, err
	}
	found := &scope{}
	judged, uids := query.JudgedBy(trails.Items), map[string][]string{}
	for i := range trails.Items {
		trail := &trails.Items[i]
		uids[trail.Namespace] = append(uids[trail.Namespace], string(trail.UID))
		if slices.Contains(namespaces, trail.Namespace) {
			found.trails = append(found.trails, trail)
		}
	}
	for _, namespace := range namespaces {
		found.places = append(found.places, &query.Cluster{Reader: caller, Namespace: namespace, Judged: judged, Memory: s.memory})
		if s.options.Chunks != nil && len(uids[namespace]) > 0 {
			found.places = append(found.places, &query.Backlog{
				Reader: s.options.Chunks, Namespace: s.options.Namespace, Trails: uids[namespace], Memory: s.memory,
			})
		}
	}
	return found, nil
}

// namespaces are those whose AuditEvents the caller reads in a scope: a project's own; for the tenant all that have trails, or
// those of the tenant trails alone when the caller may read only these. It fails when the caller may read none.
func (s *server) namespaces(
	ctx context.Context, caller client.Client, project string, trails *v1alpha1.AuditTrailList,
) ([]string, error) {
	if project != "" {
		return []string{project}, authorize(ctx, caller, project)
	}
	err := authorize(ctx, caller, "")
	var told *problem
	if errors.As(err, &told) && told.Code == codeForbidden {
		return []string{s.options.Namespace}, authorize(ctx, caller, s.options.Namespace)
	}
	if err != nil {
		return nil, err
	}
	all := map[string]bool{s.options.Namespace: true}
	for i := range trails.Items {
		all[trails.Items[i].Namespace] = true
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// question is what a request's parameters ask.
type question struct {
	query.Query
	archives []*archive.Place
}

func (s *server) question(ctx context.Context, c *call, p *parameters) (*question, error) {
	found, err := s.scope(ctx, c.client, p.project)
	if err != nil {
		return nil, err
	}
	asked := &question{Query: query.Query{Filter: p.filter, Newest: p.newest, MaxBytes: maxPageBytes}}
	if p.tenant != "" && p.tenant != s.options.ClusterID {
		return asked, nil // Another tenant has nothing here.
	}
	asked.Places = found.places
	return asked, s.addArchives(ctx, c.client, found, asked)
}

// find is the event of a name, wherever in the request's scope it is.
func (s *server) find(ctx context.Context, c *call) (*query.Row, error) {
	project, problem := projectOf(c.Request)
	if problem != nil {
		return nil, problem
	}
	found, err := s.scope(ctx, c.client, project)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("uid")
	if _, ok := query.TimeOf(name); !ok {
		return nil, errNoEvent
	}
	places := found.places
	for _, trail := range found.trails {
		if place := s.archiveOf(trail); place != nil {
			place.Whole = true
			places = append(places, place)
		}
	}
	for _, place := range places {
		for row, err := range place.Read(ctx, query.Span{From: name, To: name + "\x00"}, &query.Filter{}, 1) {
			if err != nil {
				return nil, err
			}
			return row, nil
		}
	}
	for _, place := range places {
		if archived, ok := place.(*archive.Place); ok && archived.Failure() != nil {
			log.FromContext(ctx).Info("An event was not looked for in what a trail pushed", "trail", archived.Name(), "reason", archived.Failure().Error())
			return nil, errNotRead
		}
	}
	return nil, errNoEvent
}

var errNotRead = notFound("There is no event with this uid in this scope of the cluster, and what the trails pushed could not be read, so it may be there")

var errNoEvent = notFound("There is no event with this uid in this scope, or it is older than what is kept in the cluster")
