package plugin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// inATerminal has kubectl run the plugin's program in a terminal, as a user does: events appear while changes are made, in colour.
func (w *world) inATerminal(t *testing.T) {
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		t.Skip("SKIPPED, NO TERMINAL WAS TESTED: tmux is missing")
	}
	g := NewWithT(t)
	programs := w.buildPlugin(t)
	socket := filepath.Join(t.TempDir(), "tmux")
	run := func(args ...string) string {
		output, err := exec.CommandContext(t.Context(), tmux, append([]string{"-S", socket}, args...)...).CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(output))
		return string(output)
	}
	// The shell stays when the plugin is interrupted.
	command := "trap : INT; PATH=" + programs + ":$PATH KUBECONFIG=" + w.kubeconfig + " " + env.Kubectl() +
		" trail events -n live --watch --kind configmap --cache-dir=" + t.TempDir() + "; echo ended with $?; read -r _"
	run("-f", os.DevNull, "new-session", "-d", "-x", "200", "-y", "50", "sh", "-c", command)
	defer func() { _ = exec.Command(tmux, "-S", socket, "kill-server").Run() }() //nolint:noctx // The test's context has ended by then.
	screen := func() string { return run("capture-pane", "-p", "-e", "-t", "0") }

	g.Eventually(screen, patience, 200*time.Millisecond).Should(ContainSubstring("live/before"))
	w.change(t, "in-a-terminal")
	g.Eventually(screen, patience, 200*time.Millisecond).Should(ContainSubstring("live/in-a-terminal"))
	shown := screen()
	t.Log("The terminal shows:\n" + run("capture-pane", "-p", "-t", "0"))
	g.Expect(shown).To(MatchRegexp("\x1b\\[[0-9;]*32m *Create"), "what is created is green")
	g.Expect(shown).To(MatchRegexp("\x1b\\[[0-9;]*1m *TIME"), "the title is bold")
	run("send-keys", "-t", "0", "C-c")
	g.Eventually(screen, patience, 200*time.Millisecond).Should(ContainSubstring("ended with 0"))
}

// completes has kubectl complete the plugin's commands and flags.
func (w *world) completes(t *testing.T) {
	g := NewWithT(t)
	programs := w.buildPlugin(t)
	complete := func(words ...string) string {
		command := exec.CommandContext(t.Context(), env.Kubectl(), append([]string{"__complete", "trail"}, words...)...)
		command.Env = append(os.Environ(), "PATH="+programs+":"+filepath.Dir(env.Kubectl())+":"+os.Getenv("PATH"), "KUBECONFIG="+w.kubeconfig)
		output, err := command.Output()
		g.Expect(err).NotTo(HaveOccurred())
		return string(output)
	}
	g.Expect(complete("ver")).To(ContainSubstring("verify\t"))
	g.Expect(complete("events", "--action", "")).To(ContainSubstring("Delete\n"))
	g.Expect(complete("verify", "-n", live, "")).To(ContainSubstring("changes\n"))
}

// buildPlugin puts the plugin, and what completes it, into a folder. docs/kubectl-trail.md has the second.
func (w *world) buildPlugin(t *testing.T) string {
	t.Helper()
	g := NewWithT(t)
	if w.programs != "" {
		return w.programs
	}
	folder := filepath.Join(env.Dir, "programs")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(folder, "kubectl-trail"), "./cmd/kubectl-trail")
	build.Dir = env.Root
	output, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	page, err := os.ReadFile(filepath.Join(env.Root, "docs", "kubectl-trail.md"))
	g.Expect(err).NotTo(HaveOccurred())
	script := strings.ReplaceAll(between(string(page), "printf '", "' >"), `\n`, "\n")
	g.Expect(os.WriteFile(filepath.Join(folder, "kubectl_complete-trail"), []byte(script), 0o700)).To(Succeed())
	w.programs = folder
	return folder
}
