package spill

import (
	"os"
	"syscall"
)

// syncData puts a file's content on disk, and of its metadata what is needed to read it: not when it was written.
func syncData(file *os.File) error {
	for {
		err := syscall.Fdatasync(int(file.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
