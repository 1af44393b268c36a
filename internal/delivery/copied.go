package delivery

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// copyBlock is after how many bytes of events they are compressed together, at most, and unpacked again. About a sixth of it is left.
const copyBlock = 128 << 10

// copied is what a list showed and did not fit into memory, compressed: what the API server gave once is not asked for again. What is
// beyond the copy's bound is listed again.
type copied struct {
	// limit bounds the blocks, in bytes, and unpacked what one of them holds, about.
	limit, unpacked int
	size            int
	blocks          [][]byte
	// open are events that are not in a block yet, each behind its length.
	open []byte
	// compressor is nil until something is compressed, and decompressor until something is read again, into buffer.
	compressor   *flate.Writer
	decompressor io.ReadCloser
	buffer       bytes.Buffer
	// beyond lists what the copy does not have; nil when it has everything.
	beyond *pager
	// shown lists nothing: its place is how far the copy was read again.
	shown pager
}

// begin is told of each page of the list before it is read. The last one that begins while the copy takes all is where the list goes
// on behind the copy.
func (c *copied) begin(list *pager) {
	if c.beyond == nil || !c.full() {
		c.beyond = list.clone()
	}
}

// end is told that the list has ended. Pages of what is beyond the copy have so many events.
func (c *copied) end(pageSize int) {
	if !c.full() {
		c.beyond = nil
		c.close()
	} else {
		c.beyond.size = pageSize
	}
	c.open, c.compressor = nil, nil // Their memory is not needed while the copy is read.
}

func (c *copied) full() bool { return c.size >= c.limit }

// Add copies an event, unless the copy is full.
func (c *copied) add(wire *recorded.Wire) {
	if c.full() {
		return
	}
	c.open = binary.AppendUvarint(c.open, uint64(len(wire.Object)))
	c.open = append(c.open, wire.Object...)
	if len(c.open) >= c.unpacked {
		c.close()
	}
}

// close compresses what is open.
func (c *copied) close() {
	if len(c.open) == 0 {
		return
	}
	var block bytes.Buffer
	if c.compressor == nil {
		c.compressor, _ = flate.NewWriter(&block, flate.BestSpeed) // It fails on unknown levels only.
	} else {
		c.compressor.Reset(&block)
	}
	// Nothing fails that is written to memory.
	_, _ = c.compressor.Write(c.open)
	_ = c.compressor.Close()
	c.blocks = append(c.blocks, bytes.Clone(block.Bytes()))
	c.size += block.Len()
	c.open = c.open[:0]
}

// passed says that the pages to come do not hold an event.
func (c *copied) passed(name types.NamespacedName) bool {
	if len(c.blocks) == 0 && c.beyond != nil {
		return c.beyond.passed(name)
	}
	return c.shown.passed(name)
}

// page shows the next events to visit; io.EOF after the last ones.
func (c *copied) page(ctx context.Context, visit func(*recorded.Wire)) error {
	switch {
	case len(c.blocks) > 0:
		block := c.blocks[0]
		c.blocks[0], c.blocks = nil, c.blocks[1:]
		return c.unpack(block, visit)
	case c.beyond != nil:
		return c.beyond.page(ctx, visit)
	default:
		return io.EOF
	}
}

func (c *copied) unpack(block []byte, visit func(*recorded.Wire)) error {
	if err := c.decompress(block); err != nil {
		return fmt.Errorf("reading the copy of a list: %w", err)
	}
	for events := c.buffer.Bytes(); len(events) > 0; {
		length, width := binary.Uvarint(events)
		if width <= 0 || length > uint64(len(events)-width) { //nolint:gosec // It is not negative.
			return fmt.Errorf("reading the copy of a list: %w", io.ErrUnexpectedEOF)
		}
		object := events[width:][:length]
		events = events[width:][length:]
		wire, err := recorded.ReadWire(object)
		if err != nil {
			return err
		}
		c.shown.reach(wire.Key())
		visit(wire)
	}
	return nil
}

func (c *copied) decompress(block []byte) error {
	if c.decompressor == nil {
		c.decompressor = flate.NewReader(bytes.NewReader(block))
	} else if err := c.decompressor.(flate.Resetter).Reset(bytes.NewReader(block), nil); err != nil {
		return err
	}
	c.buffer.Reset()
	_, err := c.buffer.ReadFrom(c.decompressor)
	return err
}
