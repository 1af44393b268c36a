package spill

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
)

const crashDirVariable = "TRAILKEEPER_TEST_SPILL_DIR"

// TestMain lets the crash test run this binary as the process that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVariable); dir != "" {
		appendUntilKilled(dir)
	}
	os.Exit(m.Run())
}

// appendUntilKilled appends from several writers and prints the name of each record once Append has returned.
func appendUntilKilled(dir string) {
	store, err := Open(dir, Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var output sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				record := numbered(i)
				record.Name = fmt.Sprintf("writer-%d-%06d", w, i)
				if err := store.Append(context.Background(), record); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				output.Lock()
				_, _ = fmt.Fprintln(os.Stdout, record.Name)
				output.Unlock()
			}
		})
	}
	writers.Wait()
}

func TestAcknowledgedRecordsSurviveKill(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for range 3 { // each process opens what the one killed before it left
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), crashDirVariable+"="+dir)
		child.Stderr = os.Stderr
		output, err := child.StdoutPipe()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(child.Start()).To(Succeed())
		lines := bufio.NewScanner(output)
		for n := 0; n < 200 && lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
		}
		g.Expect(child.Process.Kill()).To(Succeed())
		for lines.Scan() { // what was acknowledged while the signal was on its way
			acknowledged[lines.Text()] = true
		}
		g.Expect(child.Wait()).To(MatchError(ContainSubstring("killed")))
	}
	g.Expect(len(acknowledged)).To(BeNumerically(">=", 200))

	store := open(t, dir, Options{})
	g.Expect(store.Damaged()).To(BeEmpty())
	for _, record := range drain(t, store) {
		delete(acknowledged, record.Name)
	}
	g.Expect(acknowledged).To(BeEmpty(), "acknowledged, then lost")
}
