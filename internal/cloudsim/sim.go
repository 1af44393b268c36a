package cloudsim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// DefaultAccountID is the account of a Simulator whose Options name none.
const DefaultAccountID = "123456789012"

// Options configure a Simulator. The zero value has no users, so that every signed request is refused.
type Options struct {
	// AccountID is the account of users and roles that name none. Default DefaultAccountID.
	AccountID string
	// Clock decides about skew, expiry, ingestion times and what is too old or too new. Default the real clock.
	Clock clock.PassiveClock
	// Users may sign requests with their access keys.
	Users []User
	// Roles may be assumed at STS.
	Roles []Role
	// Regions that are switched on; a request to another one is refused. Empty means every region.
	Regions []string
	// MaxMessageBytes is the largest log message in bytes. Default 1 MiB less 26; older regions allow 256 KiB less 26.
	MaxMessageBytes int
	// Discard checks and counts log events but keeps none, for benchmarks.
	Discard bool
	// OnCall, if set, sees every call once its answer is decided, before the answer is sent. Calls run in parallel.
	OnCall func(Call)
}

// Simulator is CloudWatch Logs and STS on one endpoint; the request says which service, region and account is meant.
// It is an http.Handler, safe for use by many goroutines.
type Simulator struct {
	options    Options
	identities *identities
	store      *store
	skew       atomic.Int64 // a time.Duration
	faults     faults
	meter      meter
}

// New returns a Simulator without log groups and faults.
func New(options Options) *Simulator {
	if options.AccountID == "" {
		options.AccountID = DefaultAccountID
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.MaxMessageBytes == 0 {
		options.MaxMessageBytes = maxBatchBytes - eventOverhead
	}
	s := &Simulator{options: options, identities: newIdentities(options.AccountID), store: newStore()}
	for _, user := range options.Users {
		s.PutUser(user)
	}
	for _, role := range options.Roles {
		s.PutRole(role)
	}
	return s
}

// SetSkew puts the simulator's clock ahead of Options.Clock, or behind it when it is negative: clients whose clock is right
// then look as if theirs were wrong.
func (s *Simulator) SetSkew(skew time.Duration) { s.skew.Store(int64(skew)) }

// now is the simulator's time.
func (s *Simulator) now() time.Time { return s.options.Clock.Now().Add(time.Duration(s.skew.Load())) }

// PutUser adds a user, or replaces the one of the same account and name: a new key, a new policy.
func (s *Simulator) PutUser(user User) { s.identities.putUser(user) }

// RemoveUser makes the user's key unknown. The account is that of Options.
func (s *Simulator) RemoveUser(name string) { s.identities.removeUser(s.options.AccountID, name) }

// PutRole adds a role, or replaces the one of the same account and name. Sessions of the old one go on under the new
// one's policy.
func (s *Simulator) PutRole(role Role) { s.identities.putRole(role) }

// ExpireSessions ends every session of every role now, before its time.
func (s *Simulator) ExpireSessions() { s.identities.expireSessions(s.options.Clock.Now()) }

// Events returns what a stream of Options.AccountID holds, in the order in which it was accepted; nil if there is no
// such stream.
func (s *Simulator) Events(region, group, stream string) []Event {
	return s.store.events(place{account: s.options.AccountID, region: region}, group, stream)
}

// Start serves the simulator on a TCP address such as "127.0.0.1:0" until ctx ends or stop is called, and returns its
// URL. stop ends calls that are under way, waits for the server's goroutine, and may be called more than once.
func (s *Simulator) Start(ctx context.Context, address string) (url string, stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("listening for the simulator: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 30 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	closeWithContext := context.AfterFunc(ctx, func() { _ = server.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // It only ever ends by Close, with ErrServerClosed.
	}()
	stop = func() {
		cancel()
		closeWithContext()
		_ = server.Close()
		<-done
	}
	return "http://" + listener.Addr().String(), stop, nil
}
