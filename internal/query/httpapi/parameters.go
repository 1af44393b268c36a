package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

const (
	defaultLimit = 50
	// maxLimit and maxPageBytes bound one page: large events make it shorter.
	maxLimit     = 1000
	maxPageBytes = 4 << 20
	// maxOffset bounds what is read only to be left out.
	maxOffset = 10_000
)

// parameters are what a request asks for.
type parameters struct {
	filter query.Filter
	// project is a namespace; empty for the tenant scope.
	project string
	// tenant is the cluster's id; empty for this one.
	tenant string
	// newest is the order.
	newest        bool
	limit, offset int
	cursor        *query.Cursor
}

// actions are the values of actionType.
var actions = map[string]v1alpha1.Action{
	"create": v1alpha1.ActionCreate, "update": v1alpha1.ActionUpdate, "delete": v1alpha1.ActionDelete,
	"connect": v1alpha1.ActionConnect, "notice": v1alpha1.ActionNotice,
}

// outcomes are the values of outcome.
var outcomes = map[string]v1alpha1.Outcome{
	"persisted": v1alpha1.OutcomePersisted, "notpersisted": v1alpha1.OutcomeNotPersisted, "unknown": v1alpha1.OutcomeUnknown, "pending": "",
}

// parse reads a request's parameters. Those that nobody knows are passed over, as other servers of this API do.
func parse(request *http.Request, newest bool) (*parameters, *problem) {
	values, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return nil, invalid("The query is not in order: write %% as %%25")
	}
	p := &parameters{newest: newest, tenant: values.Get("tenantUid")}
	p.filter = query.Filter{
		Kinds: values["resourceKind"], Name: values.Get("resourceName"), Namespace: values.Get("resourceNamespace"),
		UID: values.Get("resourceUid"), User: values.Get("userUid"), Trail: values.Get("trail"),
	}
	p.filter.Kinds = slices.DeleteFunc(p.filter.Kinds, func(kind string) bool { return kind == "" })
	for _, read := range []func(url.Values) *problem{p.readWindow, p.readChoices, p.readPage} {
		if problem := read(values); problem != nil {
			return nil, problem
		}
	}
	project, problem := projectOf(request)
	p.project = project
	return p, problem
}

// projectOf is the namespace that a request asks about; empty for the tenant scope.
func projectOf(request *http.Request) (string, *problem) {
	project, header := request.URL.Query().Get("projectUid"), request.Header.Get("ProjectUid")
	if project != "" && header != "" && project != header {
		return "", invalid("The parameter projectUid and the header ProjectUid name different projects: send one of them")
	}
	if project == "" {
		project = header
	}
	if project != "" && len(validation.IsDNS1123Label(project)) > 0 {
		return "", invalid("projectUid is not the name of a namespace")
	}
	return project, nil
}

func (p *parameters) readWindow(values url.Values) *problem {
	for name, into := range map[string]*time.Time{"startTime": &p.filter.Start, "endTime": &p.filter.End} {
		text := values.Get(name)
		if text == "" {
			continue
		}
		// A literal plus in a query means a space; no time has one.
		at, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
		if err != nil {
			return invalid("%s must be a time as in RFC 3339, such as 2026-03-28T00:00:00Z or 2026-03-28T00:00:00%%2B05:30", name)
		}
		*into = at
	}
	if !p.filter.Start.IsZero() && !p.filter.End.IsZero() && p.filter.End.Before(p.filter.Start) {
		return invalid("endTime is before startTime")
	}
	return nil
}

func (p *parameters) readChoices(values url.Values) *problem {
	for _, text := range values["actionType"] {
		action, ok := actions[strings.ToLower(text)]
		if !ok && text != "" {
			return invalid("actionType must be create, update, delete, connect or notice")
		}
		if ok {
			p.filter.Actions = append(p.filter.Actions, action)
		}
	}
	for _, text := range values["outcome"] {
		outcome, ok := outcomes[strings.ToLower(text)]
		if !ok {
			return invalid("outcome must be Persisted, NotPersisted, Unknown or Pending")
		}
		p.filter.Outcomes = append(p.filter.Outcomes, outcome)
	}
	switch order := values.Get("order"); order {
	case "":
	case "newest", "oldest":
		p.newest = order == "newest"
	default:
		return invalid("order must be newest or oldest, whichever comes first")
	}
	return nil
}

func (p *parameters) readPage(values url.Values) *problem {
	var problem *problem
	if p.limit, problem = number(values, "limit", defaultLimit); problem != nil {
		return problem
	}
	p.limit = min(max(p.limit, 1), maxLimit)
	if p.offset, problem = number(values, "offset", 0); problem != nil {
		return problem
	}
	if p.offset > maxOffset {
		return invalid("offset is at most %d: go on with the token \"continue\" of listmeta", maxOffset)
	}
	token := values.Get("continue")
	if token == "" {
		return nil
	}
	cursor, err := query.ParseCursor(token)
	if err != nil {
		return invalid("continue is not a token of an earlier answer")
	}
	if cursor.Newest != p.newest && values.Get("order") != "" {
		return invalid("continue is of an answer in the other order")
	}
	p.cursor, p.newest = cursor, cursor.Newest
	// Clients send the offset of the last answer along with its token, which says the same.
	p.offset = 0
	return nil
}

func number(values url.Values, name string, absent int) (int, *problem) {
	text := values.Get(name)
	if text == "" {
		return absent, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 0 {
		return 0, invalid("%s must be a number, 0 or more", name)
	}
	return value, nil
}
