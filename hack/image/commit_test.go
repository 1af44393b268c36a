package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Two clones at different places give the same image. It links the operator four times, so `go test -short` leaves it out.
func TestTheSameCommitGivesTheSameImage(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var built [2]string
	for i := range built {
		clone := filepath.Join(t.TempDir(), "clone")
		shell(t, root, "git", "clone", "--quiet", "--no-hardlinks", "--depth=1", "file://"+root, clone)
		shell(t, clone, "hack/image.sh")
		built[i] = filepath.Join(clone, "bin", "image")
	}
	for _, file := range []string{tarName, sbomName, digestName} {
		if !bytes.Equal(read(t, built[0], file), read(t, built[1], file)) {
			t.Errorf("%s differs", file)
		}
	}
}

func shell(t *testing.T, folder, program string, arguments ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "IMAGE=example.org/trailkeeper:1", "IMAGE_OUT=")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, arguments, err, output)
	}
}
