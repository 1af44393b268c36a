package truth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/rules"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// actions are the actions of the verbs that change something.
var actions = map[string]v1alpha1.Action{
	"create": v1alpha1.ActionCreate, "update": v1alpha1.ActionUpdate, "patch": v1alpha1.ActionUpdate,
	"delete": v1alpha1.ActionDelete, "deletecollection": v1alpha1.ActionDelete,
}

// connects are the subresources that connect instead of changing anything.
var connects = []string{"exec", "attach", "portforward", "proxy"}

// log is an audit log that is being read.
type log struct {
	objects objects
	answers map[*testenv.AuditEntry]*answer
	// deletions are the requests that deleted an object, by uid.
	deletions map[string][]*testenv.AuditEntry
	// evicted are the requests that evicted a pod, by namespace/name, in the order of their answers.
	evicted map[string][]*testenv.AuditEntry
	// evictions are when anybody tried to evict a pod, by namespace/name.
	evictions map[string][]time.Time
	// wipes are the requests that deleted many objects, also those that failed meanwhile.
	wipes []*testenv.AuditEntry
	// unanswered are when requests came whose answer does not tell what became of them.
	unanswered map[place][]time.Time
	facts      []Fact
}

// Read finds the facts in an audit log. Facts of which the log does not tell whether they happened carry a doubt.
func Read(entries []testenv.AuditEntry) ([]Fact, error) {
	l := &log{objects: objects{}, answers: map[*testenv.AuditEntry]*answer{}, deletions: map[string][]*testenv.AuditEntry{}, evicted: map[string][]*testenv.AuditEntry{},
		evictions: map[string][]time.Time{}, unanswered: map[place][]time.Time{}}
	var changing []*testenv.AuditEntry
	for i := range entries {
		if _, ok := actions[entries[i].Verb]; (ok || isConnect(&entries[i])) && !isHidden(&entries[i]) {
			changing = append(changing, &entries[i])
		}
	}
	slices.SortStableFunc(changing, func(a, b *testenv.AuditEntry) int { return a.StageTimestamp.Compare(b.StageTimestamp) })
	for _, entry := range changing {
		if err := l.look(entry); err != nil {
			return nil, fmt.Errorf("reading the response of %s %s: %w", entry.Verb, entry.RequestURI, err)
		}
	}
	for _, entry := range changing {
		l.read(entry)
	}
	l.contest(changing)
	return l.facts, nil
}

// look notes what a request's answer shows.
func (l *log) look(entry *testenv.AuditEntry) error {
	a, err := readAnswer(entry)
	if err != nil {
		return err
	}
	l.answers[entry] = a
	eviction, pod := entry.ObjectRef.Subresource == "eviction", podOf(entry)
	if eviction {
		l.evictions[pod] = append(l.evictions[pod], entry.RequestReceivedTimestamp)
	}
	if isUnanswered(entry) {
		l.unanswered[placeOf(entry)] = append(l.unanswered[placeOf(entry)], entry.RequestReceivedTimestamp)
	}
	if entry.Verb == "deletecollection" && !isDryRun(entry) {
		l.wipes = append(l.wipes, entry)
	}
	if !succeeded(entry) || isDryRun(entry) {
		return nil
	}
	l.objects.add(entry, a)
	if entry.Verb == "delete" {
		l.deletions[uidOf(a)] = append(l.deletions[uidOf(a)], entry)
	}
	if entry.ObjectRef.Resource == "pods" && entry.ObjectRef.Subresource == "binding" { // It does not show the pod that it changed.
		l.unanswered[placeOf(entry)] = append(l.unanswered[placeOf(entry)], entry.RequestReceivedTimestamp)
	}
	if eviction {
		l.evicted[pod] = append(l.evicted[pod], entry)
	}
	return nil
}

// isHidden says that the API server sends such objects to no webhook.
func isHidden(entry *testenv.AuditEntry) bool {
	return entry.ObjectRef.APIGroup == "admissionregistration.k8s.io"
}

func uidOf(a *answer) string {
	if a.Metadata.UID != "" {
		return string(a.Metadata.UID)
	}
	return a.Details.UID
}

func isConnect(entry *testenv.AuditEntry) bool {
	return slices.Contains(connects, entry.ObjectRef.Subresource)
}

func succeeded(entry *testenv.AuditEntry) bool {
	return entry.ResponseStatus.Code >= 200 && entry.ResponseStatus.Code < 300
}

func userOf(entry *testenv.AuditEntry) *testenv.AuditUser {
	if entry.ImpersonatedUser != nil {
		return entry.ImpersonatedUser
	}
	return &entry.User
}

func isDryRun(entry *testenv.AuditEntry) bool {
	parsed, err := url.Parse(entry.RequestURI)
	if err == nil && parsed.Query().Has("dryRun") {
		return true
	}
	var body struct {
		DryRun        []string
		DeleteOptions struct{ DryRun []string }
	}
	return json.Unmarshal(entry.RequestObject, &body) == nil &&
		(strings.HasPrefix(entry.Verb, "delete") && len(body.DryRun) > 0 || len(body.DeleteOptions.DryRun) > 0)
}

// read adds what one request did.
func (l *log) read(entry *testenv.AuditEntry) {
	a := l.answers[entry]
	switch {
	case isDryRun(entry):
	case isConnect(entry):
		// A connection is not stored, so nobody can tell afterwards whether it was made.
		l.add(entry, a, func(f *Fact) { f.Action, f.Doubt = v1alpha1.ActionConnect, "a connection" })
	case succeeded(entry):
		l.readSuccess(entry, a)
	case isUnanswered(entry):
		l.doubt(entry, "its answer does not tell")
	case entry.Verb == "deletecollection":
		l.doubt(entry, "it failed on its way")
	case entry.Verb == "delete" && entry.ObjectRef.Resource == "pods":
		l.doubt(entry, "a pod's deletion is refused at its second validation, when the pod is marked already")
	case entry.ObjectRef.Subresource == "token":
		l.doubt(entry, "a token is not stored")
	}
}

// isUnanswered says that the answer does not tell what became of the request.
func isUnanswered(entry *testenv.AuditEntry) bool {
	return entry.ResponseStatus.Code == 0 || entry.ResponseStatus.Code >= 500 && !refusedByWebhook(entry)
}

// mayBeUnanswered says that a request for the object, after its version before, ended without an answer that tells what
// became of it: then the next one may be the first to show what that one made.
func (l *log) mayBeUnanswered(entry *testenv.AuditEntry, before *version) bool {
	return slices.ContainsFunc(l.unanswered[placeOf(entry)], func(t time.Time) bool {
		return t.After(before.entry.RequestReceivedTimestamp) && t.Before(entry.StageTimestamp)
	})
}

// refusedByWebhook says that the request ended in validation.
func refusedByWebhook(entry *testenv.AuditEntry) bool {
	return strings.Contains(entry.ResponseStatus.Message, "admission webhook") ||
		strings.Contains(entry.ResponseStatus.Message, "failed calling webhook")
}

// mayBeEvicted says that somebody tried to evict the pod shortly before, which writes to the pod.
func (l *log) mayBeEvicted(entry *testenv.AuditEntry) bool {
	return entry.ObjectRef.Resource == "pods" && slices.ContainsFunc(l.evictions[podOf(entry)], func(t time.Time) bool {
		apart := entry.StageTimestamp.Sub(t)
		return apart > -settled && apart < settled
	})
}

// evictedBefore is when the last other eviction of the pod, which came before the request was answered, was answered itself.
func (l *log) evictedBefore(entry *testenv.AuditEntry) (answered time.Time, evicted bool) {
	for _, other := range l.evicted[podOf(entry)] {
		if other != entry && other.RequestReceivedTimestamp.Before(entry.StageTimestamp) {
			answered, evicted = other.StageTimestamp, true
		}
	}
	return answered, evicted
}

// podOf names the pod of a request.
func podOf(entry *testenv.AuditEntry) string {
	return entry.ObjectRef.Namespace + "/" + entry.ObjectRef.Name
}

func (l *log) doubt(entry *testenv.AuditEntry, why string) {
	l.add(entry, &answer{}, func(f *Fact) {
		f.Doubt = why
		if entry.Verb == "deletecollection" {
			f.Name = ""
		}
	})
}

func (l *log) readSuccess(entry *testenv.AuditEntry, a *answer) {
	switch entry.Verb {
	case "create":
		l.add(entry, a, func(f *Fact) {
			if entry.ObjectRef.Subresource != "eviction" {
				return
			}
			f.Action = v1alpha1.ActionDelete
			// Of two evictions that meet the log does not show which one evicted.
			if _, evicted := l.evictedBefore(entry); evicted || l.objects.anyDeleting(entry) {
				f.Doubt = "the pod may have been on its way already"
			}
		})
	case "delete":
		l.readDelete(entry, a)
	case "deletecollection":
		l.readDeleteCollection(entry, a)
	default:
		l.readUpdate(entry, a)
	}
}

// wroteNothing says that an update left the version that it asked to replace: who wrote that does not show, as in a deletecollection.
func wroteNothing(entry *testenv.AuditEntry, a *answer) bool {
	var asked struct {
		Metadata struct{ ResourceVersion string }
	}
	return entry.Verb == "update" && json.Unmarshal(entry.RequestObject, &asked) == nil &&
		asked.Metadata.ResourceVersion == a.Metadata.ResourceVersion
}

func (l *log) readUpdate(entry *testenv.AuditEntry, a *answer) {
	if entry.ResponseStatus.Code == http.StatusCreated {
		l.add(entry, a, func(f *Fact) { f.Action, f.asked.Operation = v1alpha1.ActionCreate, "CREATE" })
		return
	}
	before, now := l.objects.find(string(a.Metadata.UID), a.version)
	gone := a.isGone()
	if now == nil || now.entry != entry && !gone || (same(before, now) || wroteNothing(entry, a)) && !gone {
		return
	}
	l.add(entry, a, func(f *Fact) {
		f.After, f.Doubt = a.version, l.doubtOfUpdate(entry, before, now)
		if before != nil {
			f.Before = before.number
		}
		f.Users = append(f.Users, now.also...)
		if gone {
			f.Action = v1alpha1.ActionDelete
			if l.isDeletedMeanwhile(entry, a) {
				f.Doubt = "a deletion at the same time may have removed it"
			}
		}
	})
}

// doubtOfUpdate says why an update between two versions may not have been made; empty when it surely was.
func (l *log) doubtOfUpdate(entry *testenv.AuditEntry, before, now *version) string {
	first := now.entry == entry
	switch {
	case before == nil:
		// Its creation was not logged, as when the API server was killed.
		return "the log does not show what it was before"
	case first && !before.deleting && now.deleting, l.mayBeEvicted(entry):
		return "the object was evicted in between, which the log does not show"
	case first && l.mayBeUnanswered(entry, before):
		return "a request whose answer does not tell may have made it"
	default:
		return ""
	}
}

// add adds a fact, as the entry says and as change corrects it.
func (l *log) add(entry *testenv.AuditEntry, a *answer, change func(*Fact)) {
	ref, user := &entry.ObjectRef, userOf(entry)
	f := Fact{
		Users: []string{user.Username}, Action: actions[entry.Verb], Entry: entry,
		Group: ref.APIGroup, Resource: ref.Resource, Namespace: ref.Namespace, Name: ref.Name, UID: uidOf(a),
	}
	if a.Metadata.Name != "" && ref.Subresource == "" {
		f.Name = a.Metadata.Name
	}
	if ref.Resource == "namespaces" && ref.APIGroup == "" {
		f.Namespace = ""
	}
	operations := map[v1alpha1.Action]string{
		v1alpha1.ActionCreate: "CREATE", v1alpha1.ActionUpdate: "UPDATE", v1alpha1.ActionDelete: "DELETE",
	}
	f.asked = rules.Request{
		Operation: operations[f.Action], Group: ref.APIGroup, Resource: ref.Resource, Subresource: ref.Subresource,
		Namespace: f.Namespace, Name: f.Name, Username: user.Username, Groups: user.Groups,
		ActorType: rules.ActorType(user.Username, user.Groups),
	}
	if isConnect(entry) {
		f.asked.Operation = "CONNECT"
	}
	if ref.Subresource != "" {
		f.Resource += "/" + ref.Subresource
	}
	change(&f)
	l.facts = append(l.facts, f)
}
