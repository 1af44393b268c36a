package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

const (
	// replayTime is how long the API server shows what it remembers. It shows it at once, and goes on with what comes: that it ends
	// no more than replayDelay late is taken for the sign that nothing held it up.
	replayTime  = time.Second
	replayDelay = 500 * time.Millisecond
)

// ErrForgotten says that the API server cannot show what happened since a revision.
var ErrForgotten = errors.New("the API server does not remember that far back")

// Appeared says which objects of one place, by their uids, were there at any time after a revision. It fails when the API server does
// not remember.
func (o *server) Appeared(ctx context.Context, refs []*v1alpha1.ResourceReference, since uint64) (map[string]bool, error) {
	ref := refs[0]
	if err := o.ShareRevisions(ctx, ref); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, replayTime+replayDelay)
	defer cancel()
	began := time.Now()
	request := o.client.Get().AbsPath(CollectionPath(ref)).Param("watch", "true")
	if !slices.ContainsFunc(refs, func(other *v1alpha1.ResourceReference) bool { return other.Name != ref.Name }) {
		request = request.Param("fieldSelector", fields.OneTermEqualSelector("metadata.name", ref.Name).String())
	}
	shown, err := request.
		Param("resourceVersion", apijson.FormatVersion(since)).
		Param("timeoutSeconds", strconv.Itoa(int(replayTime.Seconds()))).
		SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json").
		Stream(ctx)
	if apijson.IsExpired(err) {
		return nil, errors.Join(ErrForgotten, err)
	}
	if err != nil {
		return nil, fmt.Errorf("watching what %s %s/%s was: %w", ref.Resource, ref.Namespace, ref.Name, err)
	}
	defer func() { _ = shown.Close() }()
	wanted, appeared := map[string]bool{}, map[string]bool{}
	for _, ref := range refs {
		wanted[ref.UID] = true
	}
	for frames := apijson.NewStream(shown); ; {
		read, err := frames.Value()
		if errors.Is(err, io.EOF) && time.Since(began) >= replayTime {
			return appeared, nil
		}
		if err != nil {
			return nil, errors.Join(ErrForgotten, err)
		}
		kind, meta, err := readMetaFrame(read)
		switch {
		case err != nil:
			return nil, err
		case kind == "ERROR":
			return nil, errors.Join(ErrForgotten, apijson.FailureOf(read))
		case wanted[string(meta.UID)]:
			appeared[string(meta.UID)] = true
		}
		if len(appeared) == len(wanted) {
			return appeared, nil
		}
	}
}

// errApart says that objects do not count with the AuditEvents.
var errApart = errors.New("the objects and AuditEvents have counters of their own")

// ShareRevisions fails when such objects do not count with the AuditEvents: then the revision of an event says nothing of them.
func (o *server) ShareRevisions(ctx context.Context, ref *v1alpha1.ResourceReference) error {
	var revisions [3]uint64
	for i, of := range []*v1alpha1.ResourceReference{anyEvent, ref, anyEvent} {
		var err error
		if _, revisions[i], err = o.At(ctx, of, 0); err != nil {
			return err
		}
	}
	if !slices.IsSorted(revisions[:]) {
		return errApart
	}
	return nil
}

// readMetaFrame reads what kind of frame of a watch it is, and its object's metadata.
func readMetaFrame(read []byte) (kind string, meta Meta, err error) {
	s := apijson.Scan{Data: read}
	s.Object(func(name []byte) {
		switch string(name) {
		case "type":
			kind = s.Text()
		case "object":
			if object := s.Raw(); s.Err == nil {
				meta, _, _, err = readMeta(object)
			}
		default:
			s.Raw()
		}
	})
	return kind, meta, errors.Join(s.Err, err)
}
