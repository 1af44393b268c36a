package spill

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// BenchmarkAppend compares the store's committer with bbolt's own Batch, by number of writers, for events of 1.4 KB.
func BenchmarkAppend(b *testing.B) {
	record := Record{Namespace: "team-a", Name: "01jdgz4y8vq3e5m7r9t1w3y5z7", Body: make([]byte, 1400)}
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("committer/writers=%d", writers), func(b *testing.B) {
			store, err := Open(b.TempDir(), Options{MaxBytes: 4 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = store.Close() }()
			spread(b, writers, func() error { return store.Append(b.Context(), record) })
		})
		for _, delay := range []time.Duration{10 * time.Millisecond, time.Millisecond, 0} {
			b.Run(fmt.Sprintf("batch %s/writers=%d", delay, writers), func(b *testing.B) {
				db := batchBaseline(b, delay)
				defer func() { _ = db.Close() }()
				spread(b, writers, func() error {
					return db.Batch(func(tx *bolt.Tx) error {
						bucket := tx.Bucket(eventsBucket)
						sequence, err := bucket.NextSequence()
						if err != nil {
							return err
						}
						return bucket.Put(binary.BigEndian.AppendUint64(nil, sequence), record.encode())
					})
				})
			})
		}
	}
}

// BenchmarkSparseAppend appends now and then, as on a quiet cluster: most of it is waking up. Its floor is a write and a sync alone.
func BenchmarkSparseAppend(b *testing.B) {
	record := Record{Namespace: "team-a", Name: "01jdgz4y8vq3e5m7r9t1w3y5z7", Body: make([]byte, 1400)}
	store, err := Open(b.TempDir(), Options{MaxBytes: 4 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	b.Run("append", func(b *testing.B) { sparse(b, func() error { return store.Append(b.Context(), record) }) })
	b.Run("floor", func(b *testing.B) {
		sparse(b, func() error {
			if _, err := store.journal.file.WriteAt(record.Body, 0); err != nil {
				return err
			}
			return syncData(store.journal.file)
		})
	})
}

// sparse calls twenty times a second from a goroutine that was woken for it, and reports the median.
func sparse(b *testing.B, call func() error) {
	b.Helper()
	var took []time.Duration
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for range b.N {
		<-ticks.C
		began := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
}

func batchBaseline(b *testing.B, delay time.Duration) *bolt.DB {
	b.Helper()
	db, err := bolt.Open(filepath.Join(b.TempDir(), "baseline.db"), 0o600, &bolt.Options{NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	db.MaxBatchDelay = delay
	if err := db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket(eventsBucket); return err }); err != nil {
		b.Fatal(err)
	}
	return db
}

// spread shares b.N calls among writers.
func spread(b *testing.B, writers int, call func() error) {
	b.Helper()
	b.ReportAllocs()
	tickets := make(chan struct{}, b.N)
	for range b.N {
		tickets <- struct{}{}
	}
	close(tickets)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range tickets {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
