package testenv

import "time"

// Usage is what a process has used since it started.
type Usage struct {
	// CPU is the time in user and kernel mode of all its threads, in steps of 10 ms.
	CPU time.Duration
	// RSS is its resident memory now and PeakRSS the most it ever was, in bytes.
	RSS, PeakRSS int64
}

// UsageOf reads what a process has used, from Linux's /proc. It fails on other systems, and for a process that has ended.
func UsageOf(pid int) (Usage, error) { return usageOf(pid) }
