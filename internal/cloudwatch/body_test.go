package cloudwatch

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/gomega"
)

// call is a PutLogEvents as the service reads it.
type call struct {
	LogGroupName, LogStreamName string
	LogEvents                   []struct {
		Timestamp int64
		Message   string
	}
}

var bodyRecords = []Record{
	{Time: 0, Message: []byte(`{"a":"b\"c\\d"}`)},
	{Time: 1_700_000_000_000, Message: []byte("tab\tnewline\n\x00\x1f\x7f ä € 😀 </script>&")},
	{Time: 1_700_000_000_001, Message: []byte("\\")},
}

func TestBodyIsWhatTheServiceReads(t *testing.T) {
	for name, compress := range map[string]bool{"plain": false, "gzip": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			for range 2 { // The second one comes from the pool.
				b, err := newBody(`/audit/"prod"`, "a/b", bodyRecords, compress)
				g.Expect(err).NotTo(HaveOccurred())
				var read call
				g.Expect(json.Unmarshal(unpack(t, b.wire(), compress), &read)).To(Succeed())
				b.release()
				g.Expect(read.LogGroupName).To(Equal(`/audit/"prod"`))
				g.Expect(read.LogStreamName).To(Equal("a/b"))
				g.Expect(read.LogEvents).To(HaveLen(len(bodyRecords)))
				for i, record := range bodyRecords {
					g.Expect(read.LogEvents[i].Timestamp).To(Equal(record.Time))
					g.Expect(read.LogEvents[i].Message).To(Equal(string(record.Message)))
				}
			}
		})
	}
}

func unpack(t *testing.T, wire []byte, compressed bool) []byte {
	t.Helper()
	if !compressed {
		return wire
	}
	g := NewWithT(t)
	reader, err := gzip.NewReader(bytes.NewReader(wire))
	g.Expect(err).NotTo(HaveOccurred())
	plain, err := io.ReadAll(reader)
	g.Expect(err).NotTo(HaveOccurred())
	return plain
}

// FuzzEscape: what is read back is what was written, byte for byte.
func FuzzEscape(f *testing.F) {
	for _, record := range bodyRecords {
		f.Add(record.Message)
	}
	f.Add([]byte(strings.Repeat("\x01", 300)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			t.Skip("a packer lets no such record through")
		}
		const before = `["`
		quoted := append(appendEscaped([]byte(before), text), `"]`...)
		var read []string
		if err := json.Unmarshal(quoted, &read); err != nil {
			t.Fatalf("%q became %q: %v", text, quoted, err)
		}
		if len(read) != 1 || read[0] != string(text) {
			t.Fatalf("%q became %q", text, read)
		}
	})
}

// typicalRecord is a record of 1.4 KB with as many quotes as one has.
func typicalRecord() []byte {
	return []byte(`{"event":{` + strings.Repeat(`"resource":"configmaps","level":"Changes",`, 32) + `"z":1}}`)
}

// BenchmarkBody encodes a full batch, by hand and as the SDK does.
func BenchmarkBody(b *testing.B) {
	records := repeat(730, Record{Time: 1_700_000_000_000, Message: typicalRecord()})
	run := func(compress bool) func(*testing.B) {
		return func(b *testing.B) {
			b.Helper()
			b.ReportAllocs()
			for b.Loop() {
				encoded, err := newBody("/audit", "a/b", records, compress)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(encoded.plain)))
				encoded.release()
			}
		}
	}
	b.Run("plain", run(false))
	b.Run("gzip", run(true))
	b.Run("standard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			events := make([]types.InputLogEvent, len(records))
			for i := range records {
				message := string(records[i].Message)
				events[i] = types.InputLogEvent{Timestamp: &records[i].Time, Message: &message}
			}
			encoded, err := json.Marshal(events)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(encoded)))
		}
	})
}
