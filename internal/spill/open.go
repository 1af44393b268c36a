package spill

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for a process that is just ending.
const lockTimeout = time.Second

var errDamaged = errors.New("the file is damaged")

// openedFile is a file that was found sound, and what it holds.
type openedFile struct {
	db            *bolt.DB
	length, bytes int64
	// sequence is the number of the last record that was stored, whether or not it is there still.
	sequence uint64
	damaged  string
}

// openFile opens the file, setting a damaged one aside first.
func openFile(dir, path string, log logr.Logger) (openedFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return openedFile{}, err
	}
	opened, err := openSound(path)
	if err == nil {
		return opened, syncDir(dir)
	}
	if !errors.Is(err, errDamaged) {
		return openedFile{}, err
	}
	aside, err := setAside(path, err, log)
	if err != nil {
		return openedFile{}, err
	}
	if opened, err = openSound(path); err != nil {
		return openedFile{}, err
	}
	opened.damaged = aside
	return opened, syncDir(dir)
}

// setAside renames a damaged file, and returns its new name.
func setAside(path string, damage error, log logr.Logger) (string, error) {
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	log.Error(damage, "Setting a damaged spill file aside, what cannot be read of it is not replayed", "file", path, "renamedTo", aside)
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("setting the damaged file aside: %w", err)
	}
	return aside, nil
}

// openSound checks the file by reading all of it, then opens it for writing. The check comes first, and read-only,
// because bbolt scans the pages in a goroutine of its own when it opens a file for writing: a damaged page would
// end the process there, at every start.
func openSound(path string) (opened openedFile, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer recoverDamage(&err)
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		opened.length, opened.bytes, err = check(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return openedFile{}, err
	}
	// The list of free pages is not stored: after an outage it would be large, and written with every transaction.
	opened.db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true,
	})
	if err != nil {
		return openedFile{}, explainOpen(err)
	}
	if err := ensureBucket(opened.db); err != nil {
		return openedFile{}, errors.Join(err, opened.db.Close())
	}
	err = opened.db.View(func(tx *bolt.Tx) error {
		opened.sequence = tx.Bucket(eventsBucket).Sequence()
		return nil
	})
	return opened, err
}

// ensureBucket writes only when it must: a replica starts also while its disk is full.
func ensureBucket(db *bolt.DB) error {
	missing := false
	err := db.View(func(tx *bolt.Tx) error {
		missing = tx.Bucket(eventsBucket) == nil
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(eventsBucket)
		return err
	})
}

// check reads every record of the file and adds up what they take.
func check(path string) (length, size int64, err error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, ReadOnly: true, NoStatistics: true})
	if err != nil {
		return 0, 0, explainOpen(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(func(tx *bolt.Tx) (err error) {
		// In here, so that the transaction is ended before the file is closed.
		defer recoverDamage(&err)
		bucket := tx.Bucket(eventsBucket)
		if bucket == nil {
			return nil // the first start ended before the bucket was made
		}
		var last []byte
		return bucket.ForEach(func(key, value []byte) error {
			// Growing keys also prove that no page is reached twice, which would never end.
			if len(key) != 8 || bytes.Compare(key, last) <= 0 {
				return fmt.Errorf("%w: record %x follows record %x", errDamaged, key, last)
			}
			if err := verify(value); err != nil {
				return fmt.Errorf("%w: record %x: %w", errDamaged, key, err)
			}
			last = append(last[:0], key...)
			length, size = length+1, size+costOf(value)
			return nil
		})
	})
	return length, size, err
}

// recoverDamage turns bbolt's panics about damaged pages into an error. Reading past the end of a file that was cut
// is a memory fault, which is a panic only while SetPanicOnFault is on.
func recoverDamage(err *error) {
	if damage := recover(); damage != nil {
		*err = fmt.Errorf("%w: %v", errDamaged, damage)
	}
}

// explainOpen tells a held lock and a damaged file from what the file system refuses: only a damaged file is set
// aside.
func explainOpen(err error) error {
	var refused *fs.PathError
	var errno syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return ErrLocked
	case errors.As(err, &refused), errors.As(err, &errno):
		return err
	default:
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
}

// syncDir makes the file's name as durable as its content.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
