package testenv

import "syscall"

// endWithParent makes the kernel end a program when this one ends without having stopped it, as after a test's time-out.
func endWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
