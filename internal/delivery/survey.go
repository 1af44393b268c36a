package delivery

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// surveyFrom is how many objects of one place are read by a list rather than one by one: a read costs the API server
	// and this process about as much as twenty objects of a list.
	surveyFrom = 64
	// surveyShare bounds how many objects a list may have for each one that is wanted.
	surveyShare = 8
	// surveyBytes bounds what a list may have for each object that is wanted, in bytes: objects may be large.
	surveyBytes = 16 << 10
	// surveyPage is how many objects one request lists.
	surveyPage = 500
)

// listed is one page of objects, each undecoded.
type listed struct {
	Metadata struct {
		Continue           string `json:"continue"`
		RemainingItemCount int    `json:"remainingItemCount"`
	} `json:"metadata"`
	Items []jsontext.Value `json:"items"`
}

// survey lists the objects of ref's resource and namespace and shows those with the wanted names to visit. The list is
// consistent: what it does not have does not exist. complete is false when it would have taken more than single reads
// do; then nothing is known of those that were not visited.
func (o *objects) survey(
	ctx context.Context, ref *v1alpha1.ResourceReference, whole bool, wanted map[string]bool, visit func(name string, seen sight),
) (complete bool, err error) {
	budget := int64(len(wanted)) * surveyBytes
	for token := ""; ; {
		var page listed
		read, err := o.list(ctx, ref, whole, token, budget, &page)
		if err != nil || read >= budget {
			return false, err
		}
		budget -= read
		for _, item := range page.Items {
			if err := visitWanted(item, whole, wanted, visit); err != nil {
				return false, fmt.Errorf("decoding a list of %s: %w", ref.Resource, err)
			}
		}
		if token = page.Metadata.Continue; token == "" {
			return true, nil
		}
		if page.Metadata.RemainingItemCount > surveyShare*len(wanted) {
			return false, nil
		}
	}
}

func visitWanted(item jsontext.Value, whole bool, wanted map[string]bool, visit func(name string, seen sight)) error {
	var named struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(item, &named); err != nil || !wanted[named.Metadata.Name] {
		return err
	}
	var object struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(item, &object); err != nil {
		return err
	}
	seen := sight{exists: true, meta: object.Metadata}
	if whole {
		seen.body = item.Clone()
	}
	visit(named.Metadata.Name, seen)
	return nil
}

// list reads one page, at most limit bytes of it: read is limit when there are more, and then the page is not decoded.
func (o *objects) list(
	ctx context.Context, ref *v1alpha1.ResourceReference, whole bool, token string, limit int64, into *listed,
) (read int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	accept := "application/json"
	if !whole {
		accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	}
	request := o.client.Get().AbsPath(collectionPath(ref)).SetHeader("Accept", accept).Param("limit", strconv.Itoa(surveyPage))
	if token != "" {
		request = request.Param("continue", token)
	}
	stream, err := request.Stream(ctx)
	if err != nil {
		return 0, fmt.Errorf("listing %s in %q: %w", ref.Resource, ref.Namespace, err)
	}
	defer func() { _ = stream.Close() }()
	body, err := io.ReadAll(io.LimitReader(stream, limit))
	if err != nil {
		return 0, fmt.Errorf("listing %s in %q: %w", ref.Resource, ref.Namespace, err)
	}
	if int64(len(body)) == limit {
		return limit, nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return 0, fmt.Errorf("decoding a list of %s: %w", ref.Resource, err)
	}
	return int64(len(body)), nil
}
