package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/trailkeeper/trailkeeper/internal/console"
	"github.com/trailkeeper/trailkeeper/internal/query/httpapi"
)

const (
	// consoleReadTimeout bounds the reading of a request, and consoleEnd what is being answered when the console ends.
	consoleReadTimeout = 30 * time.Second
	consoleEnd         = 5 * time.Second
)

func (s *session) consoleCommand() *cobra.Command {
	port := 0
	command := &cobra.Command{
		Use:   "console",
		Short: "Show the trail in a browser, on this machine only",
		Long: `Serves the console on this machine, with the rights of your kubeconfig, until you press Ctrl-C. The address that it prints has a
token that is good as long as the command runs: who has it, and can reach this machine's loopback, reads what you may read.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return s.serveConsole(command.Context(), port) },
	}
	command.Flags().IntVar(&port, "port", 0, "The port to listen on, at 127.0.0.1; 0 takes one that is free")
	return command
}

func (s *session) serveConsole(ctx context.Context, port int) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listening for the browser (--port): %w", err)
	}
	key := rand.Text()
	handler, err := s.consoleHandler(key)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: onlyAt(listener.Addr().String(), handler), ReadTimeout: consoleReadTimeout, WriteTimeout: httpapi.WriteTimeout}
	s.printf("Open http://%s/#token=%s\n", listener.Addr(), key)
	s.say("Press Ctrl-C to end.")
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving the console: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleEnd)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close() // What is still being answered has had its time.
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the console: %w", err)
	}
	return nil
}

// consoleHandler serves the page and what it asks for, with the user's own rights.
func (s *session) consoleHandler(key string) (http.Handler, error) {
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	page, err := console.New(console.Options{Config: config, Key: key, Namespace: s.operatorNamespace})
	if err != nil {
		return nil, err
	}
	return httpapi.New(httpapi.Options{
		Config: config, Key: key, Trails: &readableTrails{Reader: c, namespaces: []string{namespace, s.operatorNamespace}},
		Namespace: s.operatorNamespace, Page: page,
	})
}

// onlyAt refuses requests under another name than the address: no other site's name can be made to lead here.
func onlyAt(address string, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address {
			http.Error(w, "This is not the address that was given out.", http.StatusMisdirectedRequest)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
