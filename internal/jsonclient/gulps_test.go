package jsonclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
)

// socket buffers what is sent to it, as the kernel does.
type socket struct {
	net.Conn
	arriving chan []byte
	buffer   bytes.Buffer
	reads    int
}

func newSocket() *socket { return &socket{arriving: make(chan []byte, 1000)} }

func (s *socket) send(data []byte) { s.arriving <- data }

func (s *socket) Read(p []byte) (int, error) {
	s.reads++
	for wait := s.buffer.Len() == 0; ; wait = false {
		if wait {
			data, ok := <-s.arriving
			if !ok {
				return 0, io.EOF
			}
			s.buffer.Write(data)
		}
		select {
		case data, ok := <-s.arriving:
			if ok {
				s.buffer.Write(data)
				continue
			}
		default:
		}
		return s.buffer.Read(p)
	}
}

func (s *socket) Close() error { return nil }

// arrival is a piece and how long after it was sent it was read.
type arrival struct {
	piece string
	after time.Duration
}

// arrivals sends pieces, apart from each other, and reads them.
func arrivals(s *socket, pieces []string, apart time.Duration) []arrival {
	conn := newGulping(s)
	sent := make(chan time.Time, len(pieces))
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		for _, piece := range pieces {
			sent <- time.Now()
			s.send([]byte(piece))
			<-time.After(apart)
		}
	})
	var arrived []arrival
	for _, piece := range pieces {
		read := make([]byte, len(piece))
		if _, err := io.ReadFull(conn, read); err != nil {
			panic(err)
		}
		arrived = append(arrived, arrival{string(read), time.Since(<-sent)})
	}
	return arrived
}

func numbered(count, size int) []string {
	pieces := make([]string, count)
	for i := range pieces {
		pieces[i] = string(bytes.Repeat([]byte{byte('a' + i%26)}, size))
	}
	return pieces
}

func TestWhatComesAloneIsReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i, got := range arrivals(newSocket(), numbered(5, 2000), time.Second) {
			if got.after != 0 {
				t.Errorf("Piece %d was read %v after it came, want at once.", i, got.after)
			}
		}
	})
}

func TestWhatComesCloselyIsReadTogether(t *testing.T) {
	for name, test := range map[string]struct {
		size, most int
		apart      time.Duration
	}{
		"few":  {size: 2000, apart: 20 * time.Millisecond, most: 60},
		"many": {size: 2500, apart: 3 * time.Millisecond, most: 30},
		"more": {size: 2500, apart: 500 * time.Microsecond, most: 30},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, pieces := newSocket(), numbered(200, test.size)
				for i, got := range arrivals(s, pieces, test.apart) {
					if got.piece != pieces[i] {
						t.Fatalf("Piece %d is not what was sent.", i)
					}
					if got.after > longestPause {
						t.Errorf("Piece %d was read after %v, want %v at most.", i, got.after, longestPause)
					}
				}
				if s.reads > test.most {
					t.Errorf("%d pieces took %d reads, want %d at most.", len(pieces), s.reads, test.most)
				}
			})
		})
	}
}

// While pieces come at a steady rate, what is left unread does not grow: the API server would have to wait.
func TestAGulpStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSocket()
		const size, apart = 2500, time.Millisecond // 2.5 MB/s: longestPause would leave eight times a gulp.
		waited := 0
		for i, got := range arrivals(s, numbered(1000, size), apart) {
			if i > 200 { // Its pace is found by then.
				waited = max(waited, int(got.after/apart)*size)
			}
		}
		if waited > gulpBytes+size {
			t.Errorf("%d bytes waited, want a gulp of %d at most.", waited, gulpBytes)
		}
	})
}

func TestClosingEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSocket()
		conn := newGulping(s)
		s.send([]byte("one"))
		read := make([]byte, 3)
		if _, err := io.ReadFull(conn, read); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.AfterFunc(longestPause/10, func() {
			close(s.arriving)
			_ = conn.Close()
		})
		if _, err := conn.Read(read); !errors.Is(err, io.EOF) {
			t.Errorf("Reading a closed connection gave %v, want the connection's own error.", err)
		}
		if _, err := conn.Read(read); !errors.Is(err, io.EOF) {
			t.Errorf("Reading it once more gave %v, want the same.", err)
		}
		if took := time.Since(began); took != longestPause/10 {
			t.Errorf("The pause ended after %v, want as soon as the connection was closed.", took)
		}
	})
}

func TestAConfigurationsOwnDialerIsUsed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	defer server.Close()
	dialed := 0
	client, err := NewForWatches(&rest.Config{Host: server.URL, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := client.Get().AbsPath("/version").DoRaw(t.Context()); err != nil || string(got) != "{}" || dialed != 1 {
		t.Errorf("Got %s, %v after %d calls of the dialer, want {} after one.", got, err, dialed)
	}
}
