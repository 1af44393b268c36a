package docs

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/app"
)

func TestBashReadsEachBlock(t *testing.T) {
	_, blocks := readBlocks(t)
	for _, block := range blocks {
		command := exec.CommandContext(t.Context(), "bash", "-n")
		command.Stdin = strings.NewReader(block.text)
		output, err := command.CombinedOutput()
		NewWithT(t).Expect(err).NotTo(HaveOccurred(), "%s, %s: %s", block.page, block.heading, output)
	}
}

var (
	makeCall = regexp.MustCompile(`(?:^|[;&|(]|\s)make ([a-z][a-z-]*)`)
	path     = regexp.MustCompile(`(?:^|[\s=/])((?:config|charts|docs|hack|cmd|test)/[A-Za-z0-9_./-]+)`)
	manager  = regexp.MustCompile(`\bbin/manager (.*)`)
	flagName = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]*)`)
)

// comments are no commands.
var comment = regexp.MustCompile(`(^|\s)#.*`)

func TestWhatBlocksNameIsThere(t *testing.T) {
	root, blocks := readBlocks(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var options app.Options
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	options.BindFlags(flags)
	targets, paths, known := 0, 0, 0
	for _, block := range blocks {
		g := NewWithT(t)
		for _, line := range block.lines() {
			line = comment.ReplaceAllString(line, "")
			for _, call := range makeCall.FindAllStringSubmatch(line, -1) {
				targets++
				g.Expect(string(makefile)).To(MatchRegexp(`(?m)^`+call[1]+`:`), "%s: %s", block.page, line)
			}
			for _, name := range path.FindAllStringSubmatch(line, -1) {
				paths++
				g.Expect(filepath.Join(root, name[1])).To(BeAnExistingFile(), "%s: %s", block.page, line)
			}
			if call := manager.FindStringSubmatch(line); call != nil {
				for _, name := range flagName.FindAllStringSubmatch(call[1], -1) {
					known++
					g.Expect(name[1] == "kubeconfig" || flags.Lookup(name[1]) != nil).To(BeTrue(), "%s: there is no --%s", block.page, name[1])
				}
			}
		}
	}
	g := NewWithT(t)
	g.Expect(targets).To(BeNumerically(">", 5))
	g.Expect(paths).To(BeNumerically(">", 5))
	g.Expect(known).To(BeNumerically(">", 2))
}
