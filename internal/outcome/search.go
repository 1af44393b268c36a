package outcome

import (
	"context"
	"errors"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/objects"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// maxProbes bounds the looks for the creations of one place: as many revisions as a busy cluster has in the seconds in which each of
// some could have been made.
const maxProbes = 2048

// searcher looks for objects at each revision at which they could have been made. That takes many more reads than a watch does, but etcd
// still knows what an API server that has just started does not.
type searcher struct {
	objects objects.Reader
	known   revisions
	left    int
	// wanted are the names that are looked for, and crowded says that the list of their place is too long.
	wanted  map[string]bool
	crowded bool
	// listed are the revisions of which had says all of the wanted names.
	listed map[uint64]bool
	// had is who had a name at a revision; empty where nobody had.
	had map[probe]string
}

// probe is where one look is taken.
type probe struct {
	name     string
	revision uint64
}

// At is the uid of what had the name at a revision; empty when nobody had it.
func (s *searcher) at(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) (string, error) {
	where := probe{ref.Name, revision}
	if uid, known := s.had[where]; known || s.listed[revision] {
		return uid, nil
	}
	if s.left--; s.left < 0 {
		return "", errTrackLost
	}
	if len(s.wanted) > 1 && !s.crowded {
		if err := s.list(ctx, ref, revision); err != nil || !s.crowded {
			return s.had[where], err
		}
	}
	seen, _, err := s.objects.At(ctx, ref, revision)
	if err != nil {
		return "", err
	}
	s.had[where] = string(seen.Meta.UID)
	return s.had[where], nil
}

// List looks for all the names at once.
func (s *searcher) list(ctx context.Context, ref *v1alpha1.ResourceReference, revision uint64) error {
	complete, err := s.objects.Survey(ctx, ref, revision, false, s.wanted, func(name string, seen objects.Sight) {
		s.had[probe{name, revision}] = string(seen.Meta.UID)
	})
	s.crowded, s.listed[revision] = err == nil && !complete, complete
	return err
}

// next is the next revision at which anybody may have got a name: nobody did at one at which an event was stored.
func (s *searcher) next(revision uint64) uint64 {
	for revision++; s.known.has(revision); {
		revision++
	}
	return revision
}

// wasThere says whether an event's object was ever there after a revision. It fails when nobody can tell any more, or not with so few
// looks.
func (s *searcher) wasThere(ctx context.Context, event *recorded.Event, after uint64) (bool, error) {
	ref := &event.Head.Resource
	now, end, err := s.objects.At(ctx, ref, 0)
	if err != nil {
		return false, err
	}
	// Later than that nobody makes it any more.
	until := madeBy(event, unversioned)
	for revision := after; revision <= end && !s.known.passedBy(revision).After(until); {
		uid, err := s.at(ctx, ref, revision)
		switch {
		case err != nil:
			return false, err
		case uid == "":
			revision = s.next(revision)
		case uid == ref.UID:
			return true, nil
		case now.Exists && string(now.Meta.UID) == uid:
			return false, nil // Another one has had the name ever since.
		default:
			if _, revision, err = endOf(ctx, s.objects, ref, uid, revision, end); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// searchFor looks for the objects of those of the events, which are of one place. known tells when revisions were made.
func (j *Judge) searchFor(ctx context.Context, events []recorded.Event, known revisions, verdicts []Verdict, those []int) error {
	s := &searcher{objects: j.Objects, known: known, left: maxProbes, wanted: map[string]bool{}, listed: map[uint64]bool{}, had: map[probe]string{}}
	for _, i := range those {
		s.wanted[events[i].Head.Resource.Name] = true
	}
	var failures []error
	for _, i := range those {
		there, err := s.wasThere(ctx, &events[i], events[i].StoredAfter())
		if err != nil {
			failures = append(failures, err)
			continue
		}
		verdicts[i] = recalled(there)
	}
	return errors.Join(failures...)
}

// recalled is the verdict on a creation of whose object it is known whether it was ever there.
func recalled(there bool) Verdict {
	if there {
		return Verdict{Judgement: persisted}
	}
	return Verdict{Judgement: notPersisted}
}
