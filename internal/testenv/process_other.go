//go:build !linux

package testenv

import "syscall"

// endWithParent does nothing: only Linux can end a program together with its parent.
func endWithParent() *syscall.SysProcAttr {
	return nil
}
