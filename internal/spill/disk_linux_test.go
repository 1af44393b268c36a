package spill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
)

// smallDisk mounts a file system in memory, which only root may.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED, NO FULL DISK WAS TESTED: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("Cannot unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fillDisk writes until nothing more fits.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	g := NewWithT(t)
	file, err := os.Create(path)
	g.Expect(err).NotTo(HaveOccurred())
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = file.Write(bytes.Repeat([]byte{1}, size))
		}
		g.Expect(err).To(MatchError(syscall.ENOSPC))
		err = nil
	}
	g.Expect(file.Close()).To(Succeed())
}

// TestAFullDiskLosesNothing: what was acknowledged is kept, what is not is said so, and with room again all goes on.
func TestAFullDiskLosesNothing(t *testing.T) {
	g := NewWithT(t)
	dir := smallDisk(t, "4m")
	store := open(t, dir, Options{})
	filler := filepath.Join(dir, "filler")
	acknowledged := map[string]bool{}
	put := func(name string) error {
		record := Record{Namespace: "team-a", Name: name, Body: bytes.Repeat([]byte{'x'}, 3000)}
		err := store.Append(t.Context(), record)
		if err == nil {
			acknowledged[name] = true
		}
		return err
	}
	for round := range 3 {
		fillDisk(t, filler)
		refused := 0
		for i := range 400 {
			if err := put(fmt.Sprintf("full-%d-%03d", round, i)); err != nil {
				g.Expect(errors.Is(err, syscall.ENOSPC)).To(BeTrue(), "%v", err)
				refused++
			}
		}
		g.Expect(refused).To(BeNumerically(">", 0))
		g.Expect(store.Len()).To(Equal(len(acknowledged)))
		if round == 1 {
			// As after kill -9, with the disk still full.
			g.Expect(store.Close()).To(Succeed())
			store = open(t, dir, Options{})
			g.Expect(store.Damaged()).To(BeEmpty())
			g.Expect(store.Len()).To(Equal(len(acknowledged)))
		}
		if round == 0 {
			replayed := map[string]bool{}
			err := store.Replay(t.Context(), func(_ context.Context, record Record) error {
				replayed[record.Name] = true
				return nil
			})
			g.Expect(replayed).To(Equal(acknowledged), "also those behind what cannot be removed")
			if err == nil {
				clear(acknowledged)
			}
		}
		g.Expect(os.Remove(filler)).To(Succeed())
		g.Expect(put(fmt.Sprintf("room-%d", round))).To(Succeed())
	}
	for _, record := range drain(t, store) {
		g.Expect(acknowledged).To(HaveKey(record.Name))
		delete(acknowledged, record.Name)
	}
	g.Expect(acknowledged).To(BeEmpty(), "acknowledged, then lost")
}
