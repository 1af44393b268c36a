package spill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	bolt "go.etcd.io/bbolt"
)

// openJournal opens the journal in front of the database, which has all up to opened.sequence, and counts what is in it.
// A damaged one is set aside, once what can be read of it has moved into the database. There is no journal when the disk
// has no room for one: the database then takes every append.
func openJournal(dir string, opened *openedFile, log logr.Logger) (*journal, error) {
	path := filepath.Join(dir, journalName)
	content, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	found := scanJournal(content, opened.sequence, opened.damaged == "")
	for _, f := range found.frames {
		opened.sequence = f.sequence
		opened.length, opened.bytes = opened.length+1, opened.bytes+costOf(f.value)
	}
	if !missing && (found.damaged || len(content) != journalBytes) {
		err := opened.db.Update(func(tx *bolt.Tx) error { return moveFrames(tx.Bucket(eventsBucket), found.frames, nil) })
		if err != nil {
			return nil, fmt.Errorf("keeping what can be read of a damaged journal: %w", err)
		}
		if opened.damaged, err = setAside(path, errDamaged, log); err != nil {
			return nil, err
		}
		found, missing = scanned{}, true
	}
	if missing {
		if err := createJournal(path); err != nil {
			log.Error(err, "Going on without a journal, appends will be slower", "file", path)
			return nil, nil
		}
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, end: int64(found.end)}
	if found.end > 0 {
		j.first = found.frames[0].value
	}
	return j, nil
}

// createJournal makes an empty journal that has its whole length as soon as it has its name, so that a shorter one was
// cut.
func createJournal(path string) error {
	temporary := path + ".new"
	if err := writeZeros(temporary); err != nil {
		_ = os.Remove(temporary) // What is left of it would only take room.
		return fmt.Errorf("making the journal: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("making the journal: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func writeZeros(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, journalBytes))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// scanned is what a journal holds.
type scanned struct {
	frames []frame
	// end is the offset behind the frames that follow each other from the beginning.
	end int
	// damaged says that a frame is missing that was on disk once; frames are then all that were found.
	damaged bool
}

// scanJournal finds the frames that the database does not have. moved is the sequence number of the last that it has;
// when that is not known, because the database was lost, the first frame decides.
func scanJournal(content []byte, moved uint64, known bool) scanned {
	var found scanned
	last := moved
	for {
		f, ok := readFrame(content[found.end:])
		if !ok || known && f.sequence != last+1 {
			break
		}
		found.frames, found.end = append(found.frames, f), found.end+f.size()
		last, known = f.sequence, true
	}
	if !known {
		return found
	}
	// What follows was moved long ago, or is what is left of the last append, of which nobody was told: the power went
	// while it was written. A frame of a later append shows that the one which is missing here was on disk.
	var behind []frame
	for at := found.end; at < len(content); at++ {
		if f, ok := readFrame(content[at:]); ok && f.sequence > last {
			found.damaged = found.damaged || f.group > last+1
			behind = append(behind, f)
		}
	}
	if found.damaged {
		found.frames = append(found.frames, behind...)
	}
	return found
}
