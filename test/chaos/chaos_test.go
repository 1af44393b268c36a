package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// settled is longer than a change takes to be pushed.
const settled = 5 * time.Second

// TestDelivery has one trail live through everything in turn, so that its one chain spans all of it.
func TestDelivery(t *testing.T) {
	w := newWorld(t)
	short := pick(time.Second, 20*time.Second)
	for _, fault := range []struct {
		name  string
		fault cloudsim.Fault
		while time.Duration
		// long says that it belongs to the long form alone.
		long bool
	}{
		{"throttled", cloudsim.Fault{Action: putAction, Effect: cloudsim.Throttle}, pick(5*time.Second, time.Minute), false},
		{"unavailable", cloudsim.Fault{Action: putAction, Effect: cloudsim.Unavailable}, short, true},
		{"hanging", cloudsim.Fault{Action: putAction, Effect: cloudsim.Hang, Times: 1}, short, true},
		{"reset", cloudsim.Fault{Action: putAction, Effect: cloudsim.Reset}, short, true},
		// Its records come again.
		{"accepted without an answer", cloudsim.Fault{Action: putAction, Effect: cloudsim.Drop, Times: 3}, short, false},
		{"behind a proxy", cloudsim.Fault{Action: putAction, Effect: cloudsim.Fail, Status: http.StatusBadGateway}, short, true},
		{"everything away", cloudsim.Fault{Effect: cloudsim.Unavailable}, short, true},
	} {
		if fault.long && !isSoak() {
			continue
		}
		w.run(fault.name, func(ctx context.Context) error {
			return w.harm(ctx, fault.fault, fault.while)
		})
	}
	NewWithT(t).Expect(w.arrived(NewWithT(t)).repeated).To(BeNumerically(">", 0), "a batch without an answer is sent again")
	if isSoak() {
		w.loseStream()
	}
	w.run("group deleted", func(ctx context.Context) error {
		resume := w.aws.Inject(cloudsim.Fault{Action: putAction, Effect: cloudsim.Throttle})
		w.removeStream()
		w.aws.RemoveGroup(region, group)
		resume()
		return pause(ctx, settled)
	})
	w.killLeader(pick(1, 20))
	if isSoak() {
		w.restartAPIServer()
	}
	w.outage(pick(500, 20000))
	w.poison(pick(300, 10000))
	w.partlyRejected()
}

// loseStream has somebody delete the stream, and somebody replace the trail's key for a while.
func (w *world) loseStream() {
	w.t.Helper()
	w.run("stream deleted", func(ctx context.Context) error {
		w.removeStream()
		return pause(ctx, settled)
	})
	w.run("key replaced", func(ctx context.Context) error {
		other := user
		other.AccessKeyID = "AKIAOTHEROTHEROTHERO"
		w.aws.PutUser(other)
		defer w.aws.PutUser(user)
		return pause(ctx, settled)
	})
}

// restartAPIServer has the API server forget its history, so that the watch cannot be taken up where it ended.
func (w *world) restartAPIServer() {
	w.t.Helper()
	w.run("API server restarted", func(ctx context.Context) error {
		w.env.StopAPIServer()
		return w.env.StartAPIServer(ctx)
	})
	logged := ""
	for _, path := range w.operator.LogPaths() {
		content, err := os.ReadFile(path)
		NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
		logged += string(content)
	}
	NewWithT(w.t).Expect(logged).To(ContainSubstring("Starting the watch of AuditEvents over"), "410 Gone")
}

// harm keeps a fault up for a while, and until a batch has met it.
func (w *world) harm(ctx context.Context, fault cloudsim.Fault, while time.Duration) error {
	if fault.Action == putAction {
		fault.Stream = w.trail.Status.LogStreamName // The ledger's stream has calls of its own.
	}
	defer w.aws.Inject(fault)()
	before := w.batchesHarmed()
	if err := pause(ctx, while); err != nil {
		return err
	}
	for began := time.Now(); w.batchesHarmed() == before; {
		if time.Since(began) > patience {
			return errors.New("no batch has met the fault")
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return w.notePacking(ctx)
}

// run makes changes while something goes wrong, and expects all of them to arrive.
func (w *world) run(name string, wrong func(context.Context) error) {
	w.t.Helper()
	w.t.Logf("%s: %s", time.Now().Format("15:04:05"), name)
	w.during("change", wrong)
	w.expectAll(0)
}

// killLeader ends the leader as kill -9 does, at a random moment after a batch was taken, mostly before that is written down.
func (w *world) killLeader(times int) {
	w.t.Helper()
	for range times {
		w.run("leader killed", func(ctx context.Context) error {
			taken := make(chan struct{}, 1)
			w.setOnPut(func() {
				select {
				case taken <- struct{}{}:
				default:
				}
			})
			defer w.setOnPut(nil)
			leader, err := w.operator.Leader(ctx)
			if err != nil {
				return err
			}
			select {
			case <-taken:
			case <-time.After(patience):
			}
			if err := pause(ctx, time.Duration(w.random.IntN(300))*time.Millisecond); err != nil {
				return err
			}
			w.operator.Replica(leader).Kill()
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			return w.operator.Start(ctx, leader)
		})
	}
}

// outage is a destination that is away for so long that its backlog fits neither into memory nor, as single events, into what
// an API server serves well. A killed leader does not keep them from being packed.
func (w *world) outage(changes int) {
	w.t.Helper()
	w.run("outage", func(ctx context.Context) error {
		defer w.aws.Inject(cloudsim.Fault{Effect: cloudsim.Unavailable})()
		w.createMany(ctx, "outage", changes, time.Millisecond)
		if err := w.packs(ctx, 1); err != nil {
			return err
		}
		leader, err := w.operator.Leader(ctx)
		if err != nil {
			return err
		}
		w.operator.Replica(leader).Kill()
		w.createMany(ctx, "outage", changes, time.Millisecond)
		if err := w.operator.Start(ctx, leader); err != nil {
			return err
		}
		return w.packs(ctx, int64(changes))
	})
}

// notePacking notes whether events are packed, as they are when the destination was harmed for long.
func (w *world) notePacking(ctx context.Context) error {
	err := w.admin.Get(ctx, client.ObjectKeyFromObject(w.trail), w.trail)
	if err == nil && w.trail.Status.Delivery != nil && w.trail.Status.Delivery.Packed > 0 {
		w.packed = true
	}
	return err
}

// packs waits until so many events are packed.
func (w *world) packs(ctx context.Context, events int64) error {
	for began := time.Now(); ; {
		if err := w.notePacking(ctx); err != nil {
			return err
		}
		packed := w.trail.Status.Delivery.Packed
		switch {
		case packed >= events:
			w.t.Logf("%d of %d events that wait are packed", packed, w.trail.Status.Delivery.Pending)
			return nil
		case time.Since(began) > patience:
			return fmt.Errorf("%d events are packed after %s, want %d", packed, patience, events)
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

// poison is one event among many that the destination never takes. All others arrive.
func (w *world) poison(changes int) {
	w.t.Helper()
	w.t.Logf("%s: poison", time.Now().Format("15:04:05"))
	defer w.aws.Inject(cloudsim.Fault{
		Action: putAction, Effect: cloudsim.Fail, Code: "InvalidParameterException", Message: "poison-",
	})()
	w.createMany(w.t.Context(), "change", changes/2, time.Millisecond)
	w.createMany(w.t.Context(), "poison", 1, time.Millisecond)
	w.createMany(w.t.Context(), "change", changes/2, time.Millisecond)
	NewWithT(w.t).Expect(w.expectAll(1)).To(ConsistOf(HavePrefix("poison-")))
	w.expectRejected(1)
}

// partlyRejected is a batch of which the destination refuses the first events for their times, inside of its consent: they
// arrive with the present as their time, and by their numbers nothing is missing.
func (w *world) partlyRejected() {
	w.t.Helper()
	w.t.Logf("%s: partly rejected", time.Now().Format("15:04:05"))
	before := w.batchesHarmed()
	defer w.aws.Inject(cloudsim.Fault{
		Action: putAction, Stream: w.trail.Status.LogStreamName, Effect: cloudsim.RejectOld, Events: 3, Times: 1,
	})()
	w.restamped = true
	w.createMany(w.t.Context(), "change", 50, time.Millisecond)
	w.expectAll(1) // The poisonous one of before.
	NewWithT(w.t).Expect(w.batchesHarmed()).To(BeNumerically(">", before))
	w.expectRejected(1)
}
