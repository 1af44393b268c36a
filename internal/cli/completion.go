package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// completeTrails offers the trails of the namespace in use to the shell.
func (s *session) completeTrails(command *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, directive
	}
	c, err := s.client()
	if err != nil {
		return nil, directive
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, directive
	}
	var trails v1alpha1.AuditTrailList
	if c.List(command.Context(), &trails, client.InNamespace(namespace)) != nil {
		return nil, directive
	}
	var names []string
	for i := range trails.Items {
		if strings.HasPrefix(trails.Items[i].Name, begun) {
			names = append(names, trails.Items[i].Name)
		}
	}
	return names, directive
}
