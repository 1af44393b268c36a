package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/restmapper"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

var errNoObject = errors.New("say which object, as KIND/NAME or KIND NAME, such as deployment/web")

func (s *session) historyCommand() *cobra.Command {
	var sel selection
	command := &cobra.Command{
		Use:   "history KIND/NAME",
		Short: "Tell the life of one object, and of others of its name before it",
		Long: `Lists what happened to one object, newest last: each change with what it changed, its note, and whether it stuck. The kind may be
written as kubectl takes it (deploy, deployments.apps, Deployment).`,
		Example: `  kubectl trail history deployment/web -n shop
  kubectl trail history clusterrole admin --since 2160h`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(command *cobra.Command, args []string) error {
			kind, name, ok := strings.Cut(strings.Join(args, "/"), "/")
			if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
				return errNoObject
			}
			sel.name = name
			return s.history(command.Context(), kind, &sel)
		},
	}
	sel.bindTime(command.Flags())
	return command
}

func (s *session) history(ctx context.Context, kind string, sel *selection) error {
	object := s.objectKind(kind)
	search, err := s.search(ctx, sel)
	if err != nil {
		return err
	}
	if object.clusterScoped {
		search.Filter.Namespace = ""
	}
	count := 0
	for row, err := range search.Rows(ctx, nil, 0, 0) {
		if err != nil {
			return err
		}
		if !object.matches(&row.Event.Spec.Resource) {
			continue
		}
		count++
		s.printLife(row)
	}
	search.tellCompleteness()
	if count == 0 {
		s.say("Nothing is recorded of %s %s.", kind, sel.name)
	}
	return nil
}

// objectKind is which resources a kind stands for.
type objectKind struct {
	// resource is empty when the API server does not know the kind, as when its CRD is gone. Then kind is compared.
	resource      schema.GroupResource
	kind          string
	clusterScoped bool
}

// objectKind asks the API server what a user means, as kubectl does.
func (s *session) objectKind(text string) objectKind {
	unknown := objectKind{kind: text}
	mapper, err := s.kubeconfig.ToRESTMapper()
	if err != nil {
		return unknown
	}
	discovery, err := s.kubeconfig.ToDiscoveryClient()
	if err != nil {
		return unknown
	}
	mapper = restmapper.NewShortcutExpander(mapper, discovery, nil)
	resource, err := mapper.ResourceFor(schema.ParseGroupResource(strings.ToLower(text)).WithVersion(""))
	if err != nil {
		return unknown
	}
	kind, err := mapper.KindFor(resource)
	if err != nil {
		return unknown
	}
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return unknown
	}
	return objectKind{resource.GroupResource(), kind.Kind, mapping.Scope.Name() == meta.RESTScopeNameRoot}
}

// matches says whether a record is about such an object, or a subresource of it, which may have a group of its own.
func (k objectKind) matches(r *v1alpha1.ResourceReference) bool {
	if k.resource.Resource == "" {
		return strings.EqualFold(k.kind, r.Kind) || strings.EqualFold(k.kind, r.Resource)
	}
	return r.Resource == k.resource.Resource && (r.Group == k.resource.Group || r.Subresource != "") && (r.Namespace == "") == k.clusterScoped
}

// maxSummary is how many changes of one event are named, and maxValue how long a value is shown.
const maxSummary, maxValue = 6, 48

// printLife shows one event of an object's life.
func (s *session) printLife(row *query.Row) {
	spec := &row.Event.Spec
	action := string(spec.Action)
	if spec.Resource.Subresource != "" {
		action += " " + spec.Resource.Subresource
	}
	line := fmt.Sprintf("%s by %s", s.paint(actionStyle(spec.Action), plain(action)), plain(cmp.Or(spec.Actor.Username, "somebody unknown")))
	if row.Outcome == v1alpha1.OutcomeNotPersisted || row.Outcome == v1alpha1.OutcomeUnknown {
		line += "  " + s.paint(outcomeStyle(row.Outcome), plain(joined(string(row.Outcome), row.Message)))
	}
	s.printf("%s  %s  %s\n", s.paint(faint, moment(spec.Time.Time)), line, s.paint(faint, plain(row.Event.Namespace+"/"+row.Event.Name)))
	for _, note := range []string{spec.Note, row.Event.Annotations[v1alpha1.NoteAnnotation]} {
		if note != "" {
			s.printf("    “%s”\n", plain(note))
		}
	}
	if spec.Action == v1alpha1.ActionCreate || spec.Action == v1alpha1.ActionDelete && len(spec.Changes) == 1 {
		return // The whole object came or went.
	}
	for i := range spec.Changes {
		if i == maxSummary {
			s.printf("    and %s: kubectl trail show %s\n", amount(int64(len(spec.Changes)-i), "more change", "more changes"),
				plain(row.Event.Namespace+"/"+row.Event.Name))
			return
		}
		s.printf("    %s\n", plain(changeText(&spec.Changes[i])))
	}
}

// changeText is a change in one line.
func changeText(change *v1alpha1.Change) string {
	path := ""
	if change.Path != nil {
		path = pathText(*change.Path)
	}
	before, after := brief(valueLines(change.From)), brief(valueLines(change.Value))
	switch {
	case before == "":
		return path + ": + " + after
	case after == "":
		return path + ": - " + before
	default:
		return path + ": " + before + " → " + after
	}
}

// brief is a value that is short enough for a line.
func brief(lines []string) string {
	switch {
	case len(lines) == 0:
		return ""
	case len(lines) > 1:
		return fmt.Sprintf("(%d lines)", len(lines))
	}
	if runes := []rune(lines[0]); len(runes) > maxValue {
		return string(runes[:maxValue]) + "…"
	}
	return lines[0]
}
