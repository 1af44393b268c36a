//go:build !linux

package spill

import "os"

func syncData(file *os.File) error { return file.Sync() }
