package docs

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"

	"github.com/trailkeeper/trailkeeper/internal/cli"
)

var (
	pluginCall = regexp.MustCompile(`kubectl trail (.*)`)
	// quoted are words with blanks; which words does not matter here.
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	// end is where a command ends.
	end = regexp.MustCompile(`\s*(\||>|&&|;|\.\.\.).*`)
)

func TestThePluginKnowsWhatBlocksSay(t *testing.T) {
	_, blocks := readBlocks(t)
	calls := 0
	for _, block := range blocks {
		for _, line := range block.lines() {
			call := pluginCall.FindStringSubmatch(comment.ReplaceAllString(line, ""))
			if call == nil || strings.Contains(call[1], "__complete") {
				continue
			}
			calls++
			arguments := strings.Fields(end.ReplaceAllString(quoted.ReplaceAllString(call[1], "WORD"), ""))
			NewWithT(t).Expect(helped(t, arguments[:1])).To(ContainSubstring("kubectl trail "+arguments[0]), "%s: there is no such command: %s", block.page, line)
			helped(t, arguments)
		}
	}
	NewWithT(t).Expect(calls).To(BeNumerically(">", 10))
}

// helped is the help of a command. Flags before it that the command does not know, or cannot have, are an error all the same.
func helped(t *testing.T, arguments []string) string {
	t.Helper()
	var out, errors bytes.Buffer
	terminal := cli.Terminal{Out: &out, Err: &errors, Clock: clock.RealClock{}}
	code := cli.Run(t.Context(), terminal, append(arguments[:len(arguments):len(arguments)], "--help"))
	NewWithT(t).Expect(code).To(Equal(cli.ExitSucceeded), "%v: %s", arguments, errors.String())
	return out.String()
}
