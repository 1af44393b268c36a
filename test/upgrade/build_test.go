package upgrade

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// buildOld compiles the operator as it was, and says of which commit.
func buildOld(t *testing.T, root string) (path, commit string) {
	t.Helper()
	g := NewWithT(t)
	commit = os.Getenv("TRAILKEEPER_UPGRADE_FROM")
	if commit == "" {
		tag, err := output(t, root, "git", "describe", "--tags", "--abbrev=0", "HEAD^")
		if commit = tag; err != nil {
			commit = "HEAD^"
		}
	}
	commit, err := output(t, root, "git", "rev-parse", commit+"^{commit}")
	g.Expect(err).NotTo(HaveOccurred(), "the history is needed: clone it whole, or set TRAILKEEPER_UPGRADE_FROM")
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	_, err = output(t, root, "git", "archive", "--output="+archive, commit)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = output(t, dir, "tar", "--extract", "--file="+archive)
	g.Expect(err).NotTo(HaveOccurred())
	path = filepath.Join(dir, "old-manager")
	_, err = output(t, dir, "go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/manager")
	g.Expect(err).NotTo(HaveOccurred())
	return path, commit
}

func output(t *testing.T, dir, program string, arguments ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %v: %w: %s", program, arguments, err, stderr.Bytes())
	}
	return strings.TrimSpace(string(text)), nil
}
