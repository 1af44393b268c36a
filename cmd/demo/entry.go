package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// cannotTell is the outcome that is expected of changes to objects that the operator may not read: Unknown, or Persisted
// when a later change of the same object proves it.
const cannotTell v1alpha1.Outcome = ""

// entry is what the demo looks for in an AuditEvent and in a record.
type entry struct {
	who, action, kind, namespace, name, note string
	outcome                                  v1alpha1.Outcome
}

func entryOf(spec *v1alpha1.AuditEventSpec, outcome v1alpha1.Outcome) entry {
	return entry{
		who: spec.Actor.Username, action: string(spec.Action), kind: spec.Resource.Kind,
		namespace: spec.Resource.Namespace, name: spec.Resource.Name, note: spec.Note, outcome: outcome,
	}
}

// object is the entry's object in short.
func (e entry) object() string {
	if e.namespace == "" {
		return e.kind + " " + e.name
	}
	return e.kind + " " + e.namespace + "/" + e.name
}

// fits says whether an entry is the one that a change leaves.
func (e entry) fits(leaves entry) bool {
	if leaves.outcome == cannotTell && e.outcome != v1alpha1.OutcomeNotPersisted {
		e.outcome = cannotTell
	}
	return e == leaves
}

// missing returns an error for the first change that left no entry.
func missing(leaves, found []entry) error {
	for _, wanted := range leaves {
		if !slices.ContainsFunc(found, func(e entry) bool { return e.fits(wanted) }) {
			return fmt.Errorf("%s %s by %s (outcome %q, note %q) is missing",
				wanted.action, wanted.object(), wanted.who, wanted.outcome, wanted.note)
		}
	}
	return nil
}

// delivered is a record as CloudWatch Logs received it.
type delivered struct {
	entry
	sequence int64
	// event is the AuditEvent's namespace and name.
	event string
}

// read decodes records, and checks that none is missing or was changed since the trail's first.
func read(trailUID string, records []string) ([]delivered, error) {
	links := make([]ledger.Link, 0, len(records))
	for _, record := range records {
		link, err := ledger.ReadLink([]byte(record))
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	distinct, _, err := ledger.Check(ledger.Genesis(trailUID), links)
	if err != nil {
		return nil, err
	}
	read := make([]delivered, 0, len(distinct))
	for i := range distinct {
		record, err := decode(&distinct[i])
		if err != nil {
			return nil, err
		}
		read = append(read, record)
	}
	return read, nil
}

func decode(link *ledger.Link) (delivered, error) {
	var event v1alpha1.AuditEvent
	if err := json.Unmarshal(link.Event, &event); err != nil {
		return delivered{}, fmt.Errorf("decoding the event of record %d: %w", link.Sequence, err)
	}
	return delivered{
		entry:    entryOf(&event.Spec, v1alpha1.Outcome(link.Outcome)),
		sequence: link.Sequence,
		event:    event.Namespace + "/" + event.Name,
	}, nil
}
