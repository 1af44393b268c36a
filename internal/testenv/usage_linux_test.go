package testenv

import (
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestUsageGrowsWithWhatAProcessUses(t *testing.T) {
	g := NewWithT(t)
	before, err := UsageOf(os.Getpid())
	g.Expect(err).NotTo(HaveOccurred())

	const size = 64 << 20
	memory := make([]byte, size)
	after := before
	for deadline := time.Now().Add(30 * time.Second); after.CPU-before.CPU < 5*tick && time.Now().Before(deadline); {
		for i := range memory {
			memory[i]++
		}
		after, err = UsageOf(os.Getpid())
		g.Expect(err).NotTo(HaveOccurred())
	}

	g.Expect(after.CPU - before.CPU).To(BeNumerically(">=", 5*tick))
	g.Expect(after.RSS).To(BeNumerically(">=", size))
	g.Expect(after.PeakRSS).To(BeNumerically(">=", after.RSS))
}

func TestCPUTimeIsReadPastAnyName(t *testing.T) {
	for name, program := range map[string]string{"plain": "manager", "spaces": "a b c", "parenthesis": "x) 1 2 (y"} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			stat := "42 (" + program + ") S 1 42 42 0 -1 4194560 100 0 0 0 1234 66 0 0 20 0 9 0 5 1 1"
			g.Expect(cpuTime([]byte(stat))).To(Equal(13 * time.Second))
		})
	}
}

func TestAProcessThatHasEndedIsAnError(t *testing.T) {
	g := NewWithT(t)
	_, err := UsageOf(1 << 30)
	g.Expect(err).To(MatchError(os.ErrNotExist))
	_, err = statusBytes([]byte("Name:\tgone\nState:\tZ (zombie)\n"), "VmHWM:")
	g.Expect(err).To(MatchError(ContainSubstring("VmHWM")))
}
