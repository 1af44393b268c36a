package testenv

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every architecture that Go runs on (proc(5)).
const tick = 10 * time.Millisecond

func usageOf(pid int) (Usage, error) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d has used: %w", pid, err)
	}
	usage := Usage{}
	if usage.CPU, err = cpuTime(stat); err != nil {
		return Usage{}, fmt.Errorf("reading /proc/%d/stat: %w", pid, err)
	}
	if usage.RSS, err = statusBytes(status, "VmRSS:"); err != nil {
		return Usage{}, fmt.Errorf("reading /proc/%d/status: %w", pid, err)
	}
	if usage.PeakRSS, err = statusBytes(status, "VmHWM:"); err != nil {
		return Usage{}, fmt.Errorf("reading /proc/%d/status: %w", pid, err)
	}
	return usage, nil
}

// cpuTime is utime and stime, the 14th and 15th field. The second field is the program's name in parentheses, which may
// hold anything, so fields are counted from its end.
func cpuTime(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("it has %d fields after the name", len(fields))
	}
	var sum time.Duration
	for _, field := range []string{fields[user], fields[system]} {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// statusBytes is a line such as "VmHWM:   1234 kB". A process that has ended and is not waited for has no such line.
func statusBytes(status []byte, name string) (int64, error) {
	lines := bufio.NewScanner(bytes.NewReader(status))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == name && fields[2] == "kB" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("it has no %s", name)
}
