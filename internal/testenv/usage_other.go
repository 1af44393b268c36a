//go:build !linux

package testenv

import "errors"

func usageOf(int) (Usage, error) {
	return Usage{}, errors.New("what a process has used can be read on Linux only")
}
