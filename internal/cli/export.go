package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/csv"
)

// exportBuffer gathers what is written to a file.
const exportBuffer = 64 << 10

// exportFlags are the flags of export.
type exportFlags struct {
	selection
	format, file string
}

func (s *session) exportCommand() *cobra.Command {
	var flags exportFlags
	command := &cobra.Command{
		Use:   "export",
		Short: "Write all events of a time to a file, as CSV or JSON lines",
		Long: `Writes the events of a namespace, or of all, to a file or to the standard output, oldest first, in constant memory. What the cluster
has no longer comes from CloudWatch Logs, with your own AWS credentials. CSV has a header, and cells that a spreadsheet would run
as a formula are made harmless. A file that is there already is not overwritten.`,
		Example: `  kubectl trail export -A --start 2026-03-01 --end 2026-04-01 --file march.csv
  kubectl trail export -n shop --since 720h --format jsonl | jq .spec.actor.username`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return s.export(command.Context(), &flags) },
	}
	flags.bind(command.Flags())
	flags.complete(command)
	command.Flags().StringVar(&flags.format, "format", "csv", "csv or jsonl (an object a line)")
	command.Flags().StringVarP(&flags.file, "file", "f", "", "File to write; without it, the standard output")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"csv", "jsonl"}, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func (s *session) export(ctx context.Context, flags *exportFlags) error {
	format, err := oneOf("--format", flags.format, []string{"csv", "jsonl"})
	if err != nil {
		return err
	}
	search, err := s.search(ctx, &flags.selection)
	if err != nil {
		return err
	}
	if flags.file == "" {
		return search.export(ctx, format)
	}
	return search.exportTo(ctx, format, flags.file)
}

// exportTo writes a file. One that could not be completed is removed: a part of an answer must not pass for the whole.
func (f *search) exportTo(ctx context.Context, format, path string) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	buffered := bufio.NewWriterSize(file, exportBuffer)
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(path)
		}
	}()
	f.Out, f.Screen = buffered, false
	if err := f.export(ctx, format); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func (f *search) export(ctx context.Context, format string) error {
	var out printer = &jsonLines{f.records()}
	if format == "csv" {
		out = &csvRows{writer: csv.NewWriter(f.records())}
	}
	progress := f.startProgress()
	bar := &timeBar{progress: progress, from: f.Filter.Start, to: f.Filter.End}
	if bar.to.IsZero() {
		bar.to = f.Clock.Now()
	}
	count := 0
	for row, err := range f.Rows(ctx, nil, 0, 0) {
		if err == nil {
			err = out.row(row)
		}
		if err != nil {
			progress.stop()
			return err
		}
		count++
		bar.reached(row, count)
	}
	progress.stop()
	if err := out.flush(); err != nil {
		return err
	}
	f.tellCompleteness()
	if f.Interactive {
		f.say("%s written.", amount(int64(count), "event", "events"))
	}
	return nil
}

// timeBar shows how much of the time that is asked for has been read. When nobody says where it begins, it is the first event.
type timeBar struct {
	progress *progress
	from, to time.Time
}

// barWidth is how long the bar is.
const barWidth = 30

func (b *timeBar) reached(row *query.Row, count int) {
	at := row.Event.Spec.Time.Time
	if b.from.IsZero() {
		b.from = at
	}
	part := 1.0
	if whole := b.to.Sub(b.from); whole > 0 {
		part = min(max(float64(at.Sub(b.from))/float64(whole), 0), 1)
	}
	full := int(part * barWidth)
	b.progress.show(fmt.Sprintf("[%s%s] %3.0f%%  %d events, up to %s",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), part*100, count, moment(at)))
}
