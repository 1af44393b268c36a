package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// selection is which events a user asks for, and where they are looked for.
type selection struct {
	actions, kinds, outcomes []string
	name, user, uid, trail   string
	since                    time.Duration
	start, end               string
	allNamespaces            bool
	fromCloudWatch           bool
}

// values of flags, as users may write them in any case.
var (
	actions  = []string{"Create", "Update", "Delete", "Connect", "Notice"}
	outcomes = []string{"Persisted", "NotPersisted", "Unknown", "Unjudged"}
)

// unjudged is how a user asks for events that were not looked at yet.
const unjudged = "Unjudged"

var (
	errSinceAndStart = errors.New("give --since or --start, not both")
	errEndFirst      = errors.New("--end is not after the start: no event can be in between")
)

// bind defines the flags that choose events.
func (sel *selection) bind(flags *pflag.FlagSet) {
	flags.StringSliceVar(&sel.actions, "action", nil, "Create, Update, Delete, Connect or Notice; several with commas")
	flags.StringSliceVar(&sel.kinds, "kind", nil, "Kind of the object, such as Deployment, in any case; several with commas")
	flags.StringVar(&sel.name, "name", "", "Name of the object")
	flags.StringVar(&sel.uid, "object-uid", "", "Uid of the object")
	sel.bindTime(flags)
	flags.StringVar(&sel.user, "user", "", "Who made the change: a user name or uid")
	flags.StringVar(&sel.trail, "trail", "", "Only what the trails of this name recorded")
	flags.StringSliceVar(&sel.outcomes, "outcome", nil, "Persisted, NotPersisted, Unknown or Unjudged; several with commas")
	flags.BoolVarP(&sel.allNamespaces, "all-namespaces", "A", false, "Objects of all namespaces, and of none")
}

// bindTime defines the flags that choose a time, and how far back is looked for it.
func (sel *selection) bindTime(flags *pflag.FlagSet) {
	flags.DurationVar(&sel.since, "since", 0, "Only what is newer than this, such as 30m or 720h")
	flags.StringVar(&sel.start, "start", "", "Only what is not older than this time, in RFC 3339 or as a date such as 2026-03-01 (UTC)")
	flags.StringVar(&sel.end, "end", "", "Only what is older than this time, likewise")
	flags.BoolVar(&sel.fromCloudWatch, "from-cloudwatch", false,
		"Read CloudWatch Logs, with your own AWS credentials, also for what is in the cluster; without it only for what is older")
}

// complete offers the values of flags to the shell.
func (sel *selection) complete(command *cobra.Command) {
	offer := func(flag string, values []string) {
		// It fails only for a flag that does not exist.
		_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	offer("action", actions)
	offer("outcome", outcomes)
}

// filter is the selection as a query has it, but for the object's namespace.
func (sel *selection) filter(now time.Time) (query.Filter, error) {
	filter := query.Filter{Kinds: sel.kinds, Name: sel.name, UID: sel.uid, User: sel.user, Trail: sel.trail}
	for _, text := range sel.actions {
		action, err := oneOf("--action", text, actions)
		if err != nil {
			return filter, err
		}
		filter.Actions = append(filter.Actions, v1alpha1.Action(action))
	}
	for _, text := range sel.outcomes {
		outcome, err := oneOf("--outcome", text, outcomes)
		if err != nil {
			return filter, err
		}
		if outcome == unjudged {
			outcome = ""
		}
		filter.Outcomes = append(filter.Outcomes, v1alpha1.Outcome(outcome))
	}
	var err error
	filter.Start, filter.End, err = sel.window(now)
	return filter, err
}

// window is the time that is asked for; a zero time leaves its side open.
func (sel *selection) window(now time.Time) (start, end time.Time, err error) {
	switch {
	case sel.since < 0:
		return start, end, fmt.Errorf("--since is %s: give a time back from now, such as 24h", sel.since)
	case sel.since > 0 && sel.start != "":
		return start, end, errSinceAndStart
	case sel.since > 0:
		start = now.Add(-sel.since)
	}
	if sel.start != "" {
		if start, err = parseTime("--start", sel.start); err != nil {
			return start, end, err
		}
	}
	if sel.end != "" {
		if end, err = parseTime("--end", sel.end); err != nil {
			return start, end, err
		}
		if !end.After(start) {
			return start, end, errEndFirst
		}
	}
	return start, end, nil
}

// parseTime reads a time with its offset, or a day of UTC.
func parseTime(flag, text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is %q: give a time such as 2026-03-01T08:00:00Z or 2026-03-01T08:00:00+05:30, or a date such as 2026-03-01", flag, text)
}

// oneOf finds a value whatever its case.
func oneOf(flag, text string, values []string) (string, error) {
	for _, value := range values {
		if strings.EqualFold(value, text) {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s is %q: give one of %s", flag, text, strings.Join(values, ", "))
}
