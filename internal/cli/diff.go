package cli

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// contextLines is how many lines around a change in a longer text are shown.
const contextLines = 2

// printChanges shows what changed: what was there before in red, after a minus sign, and what is there now in green, after
// a plus sign.
func (s *session) printChanges(spec *v1alpha1.AuditEventSpec) {
	switch {
	case len(spec.Changes) > 0:
	case spec.Level == v1alpha1.LevelMetadata && spec.Action != v1alpha1.ActionNotice:
		s.printf("\nWhat changed was not recorded: the trail's rule has the level Metadata.\n")
		return
	default:
		return
	}
	s.printf("\n%s\n", s.paint(bold, "Changes"))
	for i := range spec.Changes {
		change := &spec.Changes[i]
		path := ""
		if change.Path != nil {
			path = *change.Path
		}
		s.printf("  %s\n", s.paint(faint, plain(pathText(path))))
		before, after := valueLines(change.From), valueLines(change.Value)
		for _, line := range compareLines(before, after) {
			s.printf("    %s\n", s.paint(line.style(), line.sign+" "+plain(line.text)))
		}
	}
	if len(spec.Redacted) > 0 {
		s.printf("\nHidden, with a digest in their place (equal digests are equal values): %s\n", plain(strings.Join(spec.Redacted, ", ")))
	}
}

// printObject shows the whole object where it was recorded.
func (s *session) printObject(spec *v1alpha1.AuditEventSpec) {
	if spec.Object == nil {
		return
	}
	title := "Object after the change"
	if spec.Action == v1alpha1.ActionDelete {
		title = "Object before the change"
	}
	s.printf("\n%s\n", s.paint(bold, title))
	for _, line := range valueLines(spec.Object) {
		s.printf("  %s\n", plain(line))
	}
}

// pathText is a JSON Pointer as it is; the whole object has an empty one.
func pathText(pointer string) string {
	if pointer == "" {
		return "/ (the whole object)"
	}
	return pointer
}

// valueLines are a value as lines of YAML, in which the text "1" is told from the number. No value has no lines.
func valueLines(value *runtime.RawExtension) []string {
	if value == nil || len(value.Raw) == 0 {
		return nil
	}
	encoded, err := yaml.JSONToYAML(value.Raw)
	if err != nil {
		encoded = value.Raw
	}
	return strings.Split(strings.TrimSuffix(string(encoded), "\n"), "\n")
}

// diffLine is one line of a comparison: sign is "-", "+" or " ".
type diffLine struct{ sign, text string }

func (l diffLine) style() style {
	switch l.sign {
	case "-":
		return red
	case "+":
		return green
	default:
		return faint
	}
}

// compareLines leaves out what two texts have in common at their beginning and end, but for a little around the change.
func compareLines(before, after []string) []diffLine {
	head := 0
	for head < len(before) && head < len(after) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < len(before)-head && tail < len(after)-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	from := max(head-contextLines, 0)
	to := min(len(before)-tail+contextLines, len(before))
	return slices.Concat(
		skipped(from), signed(" ", before[from:head]),
		signed("-", before[head:len(before)-tail]), signed("+", after[head:len(after)-tail]),
		signed(" ", before[len(before)-tail:to]), skipped(len(before)-to))
}

func signed(sign string, lines []string) []diffLine {
	list := make([]diffLine, 0, len(lines))
	for _, line := range lines {
		list = append(list, diffLine{sign, line})
	}
	return list
}

func skipped(lines int) []diffLine {
	if lines == 0 {
		return nil
	}
	return []diffLine{{" ", "… " + amount(int64(lines), "equal line", "equal lines")}}
}
