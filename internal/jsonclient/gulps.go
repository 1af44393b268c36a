package jsonclient

import (
	"context"
	"net"
	"sync"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// shortestPause and longestPause are for how long a connection is left unread, so that what comes one after the other is read together.
	shortestPause = time.Millisecond
	longestPause  = 100 * time.Millisecond
	// gulpBytes is how much is to be read together, about. Both ends buffer more, so that the API server does not wait for the reader, which
	// it would take for one that is too slow, and end its watch.
	gulpBytes = 32 << 10
)

// NewForWatches makes a client, with connections of its own, for watches that show much. The API server sends each event by itself, and
// waking up for one takes several times what reading it does: where they come close together, each waits up to longestPause for those
// that follow. One that comes alone is read at once.
func NewForWatches(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	dial := config.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext // As client-go's own.
	}
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newGulping(conn), nil
	}
	return New(config)
}

// gulping is a connection that is read in gulps.
type gulping struct {
	net.Conn
	space [2 * gulpBytes]byte
	// unread is what was read from the connection, and not by the reader yet.
	unread []byte
	// drained says that the last read took all there was, and taken how much was read since the last pause, which took length.
	drained bool
	taken   int
	length  time.Duration

	closing sync.Once
	closed  chan struct{}
}

func newGulping(conn net.Conn) *gulping {
	return &gulping{Conn: conn, length: longestPause, closed: make(chan struct{})}
}

// Read may be called by one reader at a time.
func (g *gulping) Read(p []byte) (int, error) {
	if len(g.unread) == 0 {
		if err := g.gulp(); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.unread)
	g.unread = g.unread[n:]
	return n, nil
}

func (g *gulping) gulp() error {
	if g.drained {
		g.pause()
	}
	n, err := g.Conn.Read(g.space[:])
	if n == 0 {
		return err
	}
	g.unread = g.space[:n]
	g.drained = n < len(g.space)
	g.taken += n
	return nil // An error that came with something comes again.
}

// pause waits for as long as a gulp took to come, by how much came during the last pause.
func (g *gulping) pause() {
	g.length = g.length * gulpBytes / time.Duration(max(g.taken, 1))
	g.length, g.taken = min(max(g.length, shortestPause), longestPause), 0
	timer := time.NewTimer(g.length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.closed:
	}
}

// Close also ends a pause.
func (g *gulping) Close() error {
	g.closing.Do(func() { close(g.closed) })
	return g.Conn.Close()
}
