package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// block is a block of shell commands.
type block struct {
	// page is the file, from the repository's root.
	page, heading, text string
}

// lines are the block's commands, with those that go over several lines put together.
func (b block) lines() []string {
	return strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n")
}

var heading = regexp.MustCompile(`(?m)^#+ (.*)$`)

// readBlocks are all shell blocks of README.md and docs, page by page.
func readBlocks(t *testing.T) (root string, blocks []block) {
	t.Helper()
	g := NewWithT(t)
	root, err := testenv.RepositoryRoot()
	g.Expect(err).NotTo(HaveOccurred())
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	g.Expect(err).NotTo(HaveOccurred())
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		content, err := os.ReadFile(page)
		g.Expect(err).NotTo(HaveOccurred())
		name, err := filepath.Rel(root, page)
		g.Expect(err).NotTo(HaveOccurred())
		blocks = append(blocks, blocksOf(name, string(content))...)
	}
	g.Expect(len(blocks)).To(BeNumerically(">", 30), "too few blocks were found")
	return root, blocks
}

// blocksOf are the shell blocks of one page, each with the heading that it is under.
func blocksOf(page, content string) []block {
	var found []block
	under := ""
	for {
		before, rest, ok := strings.Cut(content, "```")
		if headings := heading.FindAllStringSubmatch(before, -1); len(headings) > 0 {
			under = headings[len(headings)-1][1]
		}
		if !ok {
			return found
		}
		body, after, _ := strings.Cut(rest, "```")
		language, text, _ := strings.Cut(body, "\n")
		if language == "sh" || language == "shell" || language == "bash" {
			found = append(found, block{page: page, heading: under, text: text})
		}
		content = after
	}
}
