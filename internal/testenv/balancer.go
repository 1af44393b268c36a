package testenv

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
)

// Balancer passes connections on to whichever replica answers, in turn, as a Service does.
type Balancer struct {
	// Address is where it listens.
	Address string

	ports    []string
	listener net.Listener
	cancel   context.CancelFunc
	group    sync.WaitGroup
}

// NewBalancer listens on loopback, in front of ports of loopback.
func NewBalancer(ctx context.Context, ports []string) (*Balancer, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return nil, fmt.Errorf("listening in front of the replicas: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &Balancer{Address: listener.Addr().String(), ports: ports, listener: listener, cancel: cancel}
	b.group.Go(func() { b.accept(ctx) })
	return b, nil
}

// Close ends the balancer and every connection.
func (b *Balancer) Close() {
	_ = b.listener.Close() // It fails when it is closed already.
	b.cancel()
	b.group.Wait()
}

func (b *Balancer) accept(ctx context.Context) {
	for turn := 0; ; turn++ {
		incoming, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.group.Go(func() { b.pass(ctx, incoming, turn) })
	}
}

func (b *Balancer) pass(ctx context.Context, incoming net.Conn, turn int) {
	defer func() { _ = incoming.Close() }()
	for i := range b.ports {
		port := b.ports[(turn+i)%len(b.ports)]
		outgoing, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(loopback, port))
		if err != nil {
			continue
		}
		copyBoth(ctx, incoming, outgoing)
		return
	}
}

// copyBoth copies in both directions until one side ends, or the context does, and closes both.
func copyBoth(ctx context.Context, a, b net.Conn) {
	done := make(chan struct{}, 2)
	one := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // The end of a connection is what it waits for.
		done <- struct{}{}
	}
	go one(a, b)
	go one(b, a)
	ended := 0
	select {
	case <-done:
		ended = 1
	case <-ctx.Done():
	}
	_, _ = a.Close(), b.Close()
	for range 2 - ended {
		<-done
	}
}
