package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// places are where a scope's events are, as far as the caller may read them.
func (s *server) places(ctx context.Context, caller client.Client, project string) ([]query.Place, error) {
	trails := &v1alpha1.AuditTrailList{}
	if err := s.options.Trails.List(ctx, trails); err != nil {
		return nil, fmt.Errorf("listing trails: %w", err)
	}
	namespaces, err := s.namespaces(ctx, caller, project, trails)
	if err != nil {
		return nil, err
	}
	judged, uids := query.JudgedBy(trails.Items), map[string][]string{}
	for i := range trails.Items {
		trail := &trails.Items[i]
		uids[trail.Namespace] = append(uids[trail.Namespace], string(trail.UID))
	}
	places := make([]query.Place, 0, 2*len(namespaces))
	for _, namespace := range namespaces {
		places = append(places, &query.Cluster{Reader: caller, Namespace: namespace, Judged: judged})
		if s.options.Chunks != nil && len(uids[namespace]) > 0 {
			places = append(places, &query.Backlog{
				Reader: s.options.Chunks, Namespace: s.options.Namespace, Trails: uids[namespace], Index: s.index,
			})
		}
	}
	return places, nil
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
func (s *server) question(ctx context.Context, c *call, p *parameters) (*query.Query, error) {
	places, err := s.places(ctx, c.client, p.project)
	if err != nil {
		return nil, err
	}
	if p.tenant != "" && p.tenant != s.options.ClusterID {
		places = nil // Another tenant has nothing here.
	}
	return &query.Query{Filter: p.filter, Newest: p.newest, Places: places, MaxBytes: maxPageBytes}, nil
}

// find is the event of a name, wherever in the request's scope it is.
func (s *server) find(ctx context.Context, c *call) (*query.Row, error) {
	project, problem := projectOf(c.Request)
	if problem != nil {
		return nil, problem
	}
	places, err := s.places(ctx, c.client, project)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("uid")
	if _, ok := query.TimeOf(name); !ok {
		return nil, errNoEvent
	}
	for _, place := range places {
		for row, err := range place.Read(ctx, query.Span{From: name, To: name + "\x00"}, &query.Filter{}, 1) {
			if err != nil {
				return nil, err
			}
			return row, nil
		}
	}
	return nil, errNoEvent
}

var errNoEvent = notFound("There is no event with this uid in this scope, or it is older than what is kept in the cluster")
