package delivery

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/apijson"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// typicalFrames are frames of a watch as the API server sends them, of about 2 KB each.
func typicalFrames(b *testing.B, count int) []byte {
	b.Helper()
	trail := newTrail("shop", "security")
	var frames bytes.Buffer
	path := "/data/greeting"
	for n := range count {
		event := about(newEvent(trail, eventName(n), time.Unix(1_700_000_000, 0).UTC()), v1alpha1.ActionUpdate, "7d0c6a52-6f4e-4f0e-9a55-0d5e3b6f6c11", "5000")
		event.ResourceVersion, event.UID, event.Generation = apijson.FormatVersion(uint64(n+1)), "0b4c2c1e-5d41-4f58-9f6e-1f3b0f1f7a11", 1
		event.Labels = map[string]string{v1alpha1.TrailLabel: "security"}
		event.CreationTimestamp = metav1.NewTime(time.Unix(1_700_000_000, 0))
		event.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "audit.trailkeeper.dev/v1alpha1",
			Time: &event.CreationTimestamp, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:audit.trailkeeper.dev/trail":{}}},"f:spec":{}}`),
		}}
		event.Spec.Level = v1alpha1.LevelChanges
		event.Spec.Changes = []v1alpha1.Change{{Op: "replace", Path: &path, From: &runtime.RawExtension{Raw: []byte(`"hello"`)}, Value: &runtime.RawExtension{Raw: []byte(`"good \"morning\""`)}}}
		event.Spec.Evidence = []v1alpha1.Evidence{{Path: path, Was: "0123456789abcdef0123456789abcdef", Digest: "fedcba9876543210fedcba9876543210"}}
		event.Spec.Actor.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"}
		// The API server has its objects as maps, and so writes their members in order.
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(event)
		if err != nil {
			b.Fatal(err)
		}
		if err := json.NewEncoder(&frames).Encode(map[string]any{"type": "ADDED", "object": object}); err != nil {
			b.Fatal(err)
		}
	}
	return frames.Bytes()
}

// BenchmarkWatch reads events from a watch, up to what a courier takes.
func BenchmarkWatch(b *testing.B) {
	const count = 100
	frames := typicalFrames(b, count)
	b.ReportAllocs()
	before := cpu(b)
	for b.Loop() {
		decoder := apijson.NewStream(bytes.NewReader(frames))
		for range count {
			err := next(decoder, func(_ uint64, created *recorded.Wire) {
				if _, err := created.Event(); err != nil {
					b.Fatal(err)
				}
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(count)/float64(b.N), "CPU-µs/event")
}

// cpu is what this process has used so far: the machine may have other work.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	used, err := testenv.UsageOf(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	return used.CPU
}

// BenchmarkRecord makes a record of an event: the canonical JSON, its hash, the chain.
func BenchmarkRecord(b *testing.B) {
	var event recorded.Event
	err := next(apijson.NewStream(bytes.NewReader(typicalFrames(b, 1))), func(_ uint64, created *recorded.Wire) {
		event, _ = created.Event()
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	head, before := ledger.Genesis("trail"), cpu(b)
	for b.Loop() {
		_, head, err = head.Record(ledger.Event{Name: event.Name, Namespace: event.Namespace, ID: event.Head.ID, Spec: []byte(event.Spec)},
			ledger.Judgement{Outcome: v1alpha1.OutcomePersisted})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "CPU-µs/event")
}
