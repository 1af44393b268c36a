package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// smallDisk mounts a file system of 16 MB in memory, which only root may.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("SKIPPED, NO FULL DISK WAS TESTED: mounting a tmpfs needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("Cannot unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes until nothing more fits.
func fill(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err == nil {
			_, err = file.Write(bytes.Repeat([]byte{1}, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return errors.Join(err, file.Close())
		}
		err = nil
	}
	return file.Close()
}

// TestOracleDiskFull: events that go to the local file first are recorded all the same while its disk is full.
func TestOracleDiskFull(t *testing.T) {
	inTheLongForm(t)
	dir := smallDisk(t)
	w := newWorld(t, options{
		replicas: 1, policy: v1alpha1.FailurePolicyFail, durability: v1alpha1.DurabilityLocal,
		args: []string{"--spill-dir=" + dir},
	})
	filler := filepath.Join(dir, "filler")
	w.workThrough(faulty,
		func(ctx context.Context) error {
			if err := fill(filler); err != nil {
				return err
			}
			pause(ctx, 10*time.Second)
			return os.Remove(filler)
		},
		func(ctx context.Context) error {
			if err := fill(filler); err != nil {
				return err
			}
			w.operator.Replica(0).Kill()
			if err := os.Remove(filler); err != nil {
				return err
			}
			return w.operator.Start(ctx, 0)
		})
	w.expectTruth()
}

// makeMaps makes ConfigMaps that nobody else knows.
func (w *world) makeMaps(ctx context.Context, count int) ([]corev1.ConfigMap, error) {
	made := make([]corev1.ConfigMap, count)
	for i := range made {
		made[i].Namespace, made[i].GenerateName = metav1.NamespaceDefault, "small-"
		if err := w.admin.Create(ctx, &made[i]); err != nil {
			return nil, fmt.Errorf("making a ConfigMap: %w", err)
		}
	}
	return made, nil
}

// TestOracleNowhere: what can be recorded nowhere is refused under Fail.
func TestOracleNowhere(t *testing.T) {
	inTheLongForm(t)
	dir := smallDisk(t)
	w := newWorld(t, options{
		replicas: 1, policy: v1alpha1.FailurePolicyFail, etcdArgs: []string{"--quota-backend-bytes=67108864"},
		args: []string{"--spill-dir=" + dir, "--leader-elect-lease-duration=4s"},
	})
	filler := filepath.Join(dir, "filler")
	w.workThrough(faulty, func(ctx context.Context) error {
		small, err := w.makeMaps(ctx, 800)
		if err != nil {
			return err
		}
		large, err := w.fillEtcd(ctx)
		if err != nil {
			return err
		}
		if err := fill(filler); err != nil {
			return err
		}
		pause(ctx, 5*time.Second)
		var refused error
		for i := 0; refused == nil && i < len(small); i++ {
			refused = w.admin.Delete(ctx, &small[i]) // The journal has room already, for about a thousand events.
		}
		NewWithT(t).Expect(refused).To(MatchError(ContainSubstring("must record this change")))
		if err := os.Remove(filler); err != nil {
			return err
		}
		for i := range large {
			if err := client.IgnoreNotFound(w.admin.Delete(ctx, &large[i])); err != nil {
				return err
			}
		}
		return w.env.MakeRoomInEtcd(ctx)
	})
	w.expectTruth()
}
