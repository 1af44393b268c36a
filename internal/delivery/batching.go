package delivery

import (
	"cmp"

	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

const (
	// wrapping is about what a record has beside its event's spec, in bytes, before the first one was made.
	wrapping = 320
	// spare is the part of a batch that is left for records that turn out larger than those before: a batch that is a little less than
	// full costs less than a call for what did not fit.
	spare = 1.0 / 128
)

// batchBytes is how much is collected for one call: the limit, or the courier's share of the memory.
func (c *courier) batchBytes() int {
	limit := min(cloudwatch.MaxBatchBytes, c.delivery.windowBytes())
	return limit - int(spare*float64(limit))
}

// sizeOf is about what the event's record will count towards that.
func (c *courier) sizeOf(event *recorded.Event) int {
	return len(event.Spec) + cmp.Or(c.wrapping, wrapping)
}

// learnSizes remembers what records had beside their events' specs, on average: some tell of doubts, others do not.
func (c *courier) learnSizes(events []recorded.Event, records []cloudwatch.Record) {
	sum := 0
	for i := range records {
		sum += max(records[i].Size()-len(events[i].Spec), 0)
	}
	c.wrapping = sum/len(records) + 1
}

// full is how many of the queue's first events fill a batch; 0 when all of them do not.
func (c *courier) full() int {
	if len(c.queue) >= window {
		return window
	}
	bytes, limit := 0, c.batchBytes()
	for i := range c.queue {
		if bytes += c.sizeOf(&c.queue[i]); bytes > limit {
			return i
		}
	}
	return 0
}

// whole is how many of the first events make only full batches; all of them when they do not fill one.
func (c *courier) whole(events []recorded.Event) int {
	bytes, limit, whole := 0, c.batchBytes(), 0
	for i := range events {
		size := c.sizeOf(&events[i])
		if bytes+size > limit {
			whole, bytes = i, 0
		}
		bytes += size
	}
	if whole == 0 {
		return len(events)
	}
	return whole
}
