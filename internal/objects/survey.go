package objects

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

const (
	// SurveyFrom is how many objects of one place are read by a list rather than one by one: a read costs the API server
	// and this process about as much as twenty objects of a list.
	SurveyFrom = 64
	// surveyShare bounds how many objects a list may have for each one that is wanted.
	surveyShare = 16
	// surveyBytes bounds what a list may have for each object that is wanted, in bytes: objects may be large.
	surveyBytes = 16 << 10
	// surveyLimit is how many objects one request lists.
	surveyLimit = 500
)

// surveyMeta is what a page says of what follows it.
type surveyMeta struct {
	Continue           string `json:"continue"`
	RemainingItemCount int    `json:"remainingItemCount"`
}

// Survey lists the objects of ref's resource and namespace and shows those with the wanted names to visit, as they were at a revision, or
// as they are when that is 0. The list is consistent: what it does not have does not exist. complete is false when it would have taken more than single reads
// do; then nothing is known of those that were not visited.
func (o *server) Survey(
	ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64, whole bool, wanted map[string]bool, visit func(name string, seen Sight),
) (complete bool, err error) {
	budget := int64(len(wanted)) * surveyBytes
	for token := ""; ; {
		var meta surveyMeta
		budget, err = o.surveyPage(ctx, ref, revision, whole, wanted, token, budget, &meta, visit)
		if err != nil || budget <= 0 {
			return false, err
		}
		if token = meta.Continue; token == "" {
			return true, nil
		}
		if meta.RemainingItemCount > surveyShare*len(wanted) {
			return false, nil
		}
	}
}

// surveyPage shows the wanted objects of one page to visit, of which it reads at most budget bytes, and says what is left of them.
func (o *server) surveyPage(
	ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64, whole bool, wanted map[string]bool, token string, budget int64, meta *surveyMeta,
	visit func(name string, seen Sight),
) (left int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	accept := "application/json"
	if !whole {
		accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	}
	request := o.client.Get().AbsPath(CollectionPath(ref)).SetHeader("Accept", accept).Param("limit", strconv.Itoa(surveyLimit))
	switch {
	case token != "":
		request = request.Param("continue", token) // It says of which revision.
	case revision > 0:
		request = atRevision(request, revision)
	}
	stream, err := request.Stream(ctx)
	if err != nil {
		return budget, fmt.Errorf("listing %s in %q: %w", ref.Resource, ref.Namespace, err)
	}
	defer func() { _ = stream.Close() }()
	limited := &io.LimitedReader{R: stream, N: budget}
	err = apijson.DecodeList(apijson.NewStream(limited), meta, func(item []byte) error {
		seen, err := readSight(item, false)
		if err == nil && wanted[seen.Meta.name] {
			if whole {
				seen, err = readSight(item, true)
			}
			visit(seen.Meta.name, seen)
		}
		return err
	})
	if err != nil && limited.N > 0 {
		return budget, fmt.Errorf("decoding a list of %s in %q: %w", ref.Resource, ref.Namespace, err)
	}
	return limited.N, nil
}
