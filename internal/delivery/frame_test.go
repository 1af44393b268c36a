package delivery

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestAFrameInAnyOrder: nobody promises that the kind comes first.
func TestAFrameInAnyOrder(t *testing.T) {
	g := NewWithT(t)
	for _, frame := range []string{
		`{"type":"ADDED","object":{"metadata":{"resourceVersion":"5"},"status":{}}}`,
		`{"object":{"status":{},"metadata":{"resourceVersion":"5"}},"type":"ADDED"}`,
	} {
		var seen uint64
		g.Expect(next(apijson.NewStream(strings.NewReader(frame)), func(version uint64, created *recorded.Wire) {
			g.Expect(created).NotTo(BeNil())
			seen = version
		})).To(Succeed())
		g.Expect(seen).To(BeEquivalentTo(5))
	}
	for _, frame := range []string{
		`{"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}`,
		`{"object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410},"type":"ERROR"}`,
	} {
		g.Expect(next(apijson.NewStream(strings.NewReader(frame)), nil)).To(MatchError(apijson.ErrExpired))
	}
}

// BenchmarkFrame is what a frame of the watch with an event of 1.5 kB costs: served by a courier of this replica, or passed
// over because it is another's.
func BenchmarkFrame(b *testing.B) {
	trail := newTrail("shop", "security")
	for _, of := range []struct {
		name  string
		trail types.UID
	}{{"served", trail.UID}, {"passed", "another"}} {
		b.Run(of.name, func(b *testing.B) {
			g := NewWithT(b)
			event := newEvent(trail, eventName(0), time.Now())
			event.Spec.TrailRef.UID, event.ResourceVersion = string(of.trail), "7"
			for range 8 {
				event.Spec.Changes = append(event.Spec.Changes, v1alpha1.Change{
					Op: "replace", Path: ptr.To("/spec/template/spec/containers/0/image"), Value: &runtime.RawExtension{Raw: []byte(`"registry/web:2"`)},
				})
			}
			frame, err := json.Marshal(map[string]any{"type": "ADDED", "object": event})
			g.Expect(err).NotTo(HaveOccurred())
			f := newFeed(nil, clock.RealClock{})
			f.begin(1)
			f.partial.Store(true)
			box := newInbox(1 << 20)
			f.subscribe(trail.UID, box, 1, true)
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			reader := bytes.NewReader(frame)
			frames := apijson.NewStream(reader)
			for b.Loop() {
				reader.Reset(frame)
				if err := next(frames, func(version uint64, created *recorded.Wire) {
					f.give(b.Context(), version, created)
				}); err != nil {
					b.Fatal(err)
				}
				if box.size() > 100 {
					box.take()
				}
			}
		})
	}
}
