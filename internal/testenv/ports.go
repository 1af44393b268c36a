package testenv

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// Ports are chosen from below those that Linux gives to outgoing connections (ip_local_port_range, from 32768 on by default): one of these
// could take the port of a program that is being started again.
const (
	firstPort = 20000
	lastPort  = 30000
	// portTries bounds how many ports are tried for each that is wanted.
	portTries = 100
)

var errNoPort = errors.New("finding a free port: all that were tried are taken")

// FreePorts are loopback ports that nobody listens on.
func FreePorts(ctx context.Context, count int) ([]string, error) {
	ports := make([]string, 0, count)
	for try := 0; len(ports) < count; try++ {
		if try == count*portTries {
			return nil, errNoPort
		}
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort)) //nolint:gosec // It is no secret.
		if slices.Contains(ports, port) {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		ports = append(ports, port)
	}
	return ports, nil
}

// freePort is one of them.
func freePort(ctx context.Context) (string, error) {
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return "", err
	}
	return ports[0], nil
}
