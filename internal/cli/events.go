package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/trailkeeper/trailkeeper/internal/query"
)

// defaultLimit is how many events are shown unless the user says otherwise.
const defaultLimit = 500

// formats of events.
var eventFormats = []string{"table", "wide", "json", "yaml", "csv"}

// eventsFlags are the flags of events.
type eventsFlags struct {
	selection
	output string
	limit  int
	watch  bool
}

func (s *session) eventsCommand() *cobra.Command {
	var flags eventsFlags
	command := &cobra.Command{
		Use:   "events",
		Short: "List what was done, newest last",
		Long: `Lists the changes of objects in a namespace (-n, else the context's), or in all of them and outside of any (-A), newest last.
They come from the trails of that namespace and from those that see the whole cluster, as far as you may read them; what several
trails recorded appears once. What the cluster has no longer is read from CloudWatch Logs with your own AWS credentials.`,
		Example: `  kubectl trail events -n shop --since 24h
  kubectl trail events -A --user alice --action delete --start 2026-03-01 --end 2026-04-01
  kubectl trail events -n shop --kind deployment,secret -o csv --limit 0 > march.csv
  kubectl trail events -n shop --watch`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return s.events(command.Context(), &flags) },
	}
	flags.bind(command.Flags())
	flags.complete(command)
	command.Flags().StringVarP(&flags.output, "output", "o", "table", "table, wide, json, yaml or csv")
	command.Flags().IntVar(&flags.limit, "limit", defaultLimit, "How many of the newest events; 0 for all, in pages")
	command.Flags().BoolVarP(&flags.watch, "watch", "w", false, "Go on with what happens from now on, until Ctrl-C")
	_ = command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(eventFormats, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func (s *session) events(ctx context.Context, flags *eventsFlags) error {
	if flags.limit < 0 {
		return fmt.Errorf("--limit is %d: give 0 for all, or how many of the newest events", flags.limit)
	}
	out, err := s.printer(flags.output, flags.watch)
	if err != nil {
		return err
	}
	search, err := s.search(ctx, &flags.selection)
	if err != nil {
		return err
	}
	var watch *watching
	if flags.watch {
		// It begins before the list is read, so that nothing is lost in between.
		if watch, err = search.startWatching(ctx); err != nil {
			return err
		}
		defer watch.stop()
	}
	if err := search.print(ctx, out, flags.limit, watch); err != nil {
		return err
	}
	if watch != nil {
		search.tellFailures()
		return watch.print(ctx, out)
	}
	search.tellCompleteness()
	return nil
}

// print shows the answer, or the newest events of it. A watch that follows does not show them again.
func (f *search) print(ctx context.Context, out printer, limit int, watch *watching) error {
	rows := f.Rows(ctx, nil, 0, 0)
	if limit > 0 {
		page, err := f.newest(ctx, limit)
		if err != nil {
			return err
		}
		rows = page
	}
	for row, err := range rows {
		if err == nil {
			err = out.row(row)
		}
		if err != nil {
			return err
		}
		if watch != nil {
			watch.listed(row)
		}
	}
	return out.flush()
}

// newest are the newest rows, oldest of them first.
func (f *search) newest(ctx context.Context, limit int) (query.Rows, error) {
	f.Newest = true
	page, err := f.Page(ctx, nil, 0, limit)
	if err != nil {
		return nil, err
	}
	if page.Next != nil {
		f.say("These are the %d newest events; --limit 0 shows all, and --start, --end and other flags narrow them down.", limit)
	}
	slices.Reverse(page.Rows)
	return func(yield func(*query.Row, error) bool) {
		for _, row := range page.Rows {
			if !yield(row, nil) {
				return
			}
		}
	}, nil
}
