package delivery

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxProbes bounds the looks for the creations of one place: as many revisions as a busy cluster has in the seconds in which each of
// some could have been made.
const maxProbes = 2048

// searcher looks for objects at each revision at which they could have been made. That takes many more reads than a watch does, but etcd
// still knows what an API server that has just started does not.
type searcher struct {
	objects reader
	known   revisions
	left    int
	// had is who had a name at a revision; empty where nobody had.
	had map[probe]string
}

// probe is where one look is taken.
type probe struct {
	name     string
	revision uint64
}

// at is the uid of what had the name at a revision; empty when nobody had it.
func (s *searcher) at(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (string, error) {
	where := probe{ref.Name, revision}
	if uid, known := s.had[where]; known {
		return uid, nil
	}
	if s.left--; s.left < 0 {
		return "", errTrackLost
	}
	seen, _, err := s.objects.at(ctx, ref, revision)
	if err != nil {
		return "", err
	}
	s.had[where] = string(seen.meta.UID)
	return s.had[where], nil
}

// wasThere says whether an event's object was ever there after a revision. It fails when nobody can tell any more, or not with so few
// looks.
func (s *searcher) wasThere(ctx context.Context, event *Event, after uint64) (bool, error) {
	ref := &event.Head.Resource
	now, end, err := s.objects.at(ctx, ref, 0)
	if err != nil {
		return false, err
	}
	// Later than that nobody makes it any more.
	until := event.begun().Add(stretched(unversioned, event))
	for revision := after; revision <= end && !s.known.passedBy(revision).After(until); {
		uid, err := s.at(ctx, ref, revision)
		switch {
		case err != nil:
			return false, err
		case uid == "":
			revision++
		case uid == ref.UID:
			return true, nil
		case now.exists && string(now.meta.UID) == uid:
			return false, nil // Another one has had the name ever since.
		default:
			if revision, err = s.endOf(ctx, ref, uid, revision, end); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// endOf is the revision at which another object that was there at a revision, and is not any more, was removed.
func (s *searcher) endOf(ctx context.Context, ref *v1alpha1.ResourceReference, uid string, there, gone uint64) (uint64, error) {
	other := *ref
	other.UID = uid
	room := &atomic.Int64{}
	room.Store(maxTracks)
	_, removed, err := (&follower{objects: s.objects, ref: &other, room: room}).findEnd(ctx, there, gone)
	return removed, err
}

// searchFor looks for the objects of those of the events, which are of one place. known tells when revisions were made.
func (j *judge) searchFor(ctx context.Context, events []Event, known revisions, verdicts []verdict, those []int) error {
	s := &searcher{objects: j.objects, known: known, left: maxProbes, had: map[probe]string{}}
	var failures []error
	for _, i := range those {
		there, err := s.wasThere(ctx, &events[i], events[i].storedAfter())
		if err != nil {
			failures = append(failures, err)
			continue
		}
		verdicts[i] = recalled(there)
	}
	return errors.Join(failures...)
}

// recalled is the verdict on a creation of whose object it is known whether it was ever there.
func recalled(there bool) verdict {
	if there {
		return verdict{Judgement: persisted}
	}
	return verdict{Judgement: notPersisted}
}
