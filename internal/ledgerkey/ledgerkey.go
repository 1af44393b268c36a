package ledgerkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/ownsecret"
)

const (
	// SecretName is the Secret in the operator's namespace that holds the key.
	SecretName = "trailkeeper-ledger-key"

	seedKey          = "seed"
	madeKey          = "made"
	announcementsKey = "announcements.json"

	// fresh is how long what was read is used. Many trails sign at about the same time.
	fresh = time.Minute
	// maxAnnouncements bounds the Secret; a trail that slept through more changes of the key cannot tell of all of them.
	maxAnnouncements = 100
	// maxRaces bounds the tries against somebody else who writes the Secret at the same time.
	maxRaces = 4
)

// Signer is the key that signs now, and how it came to be.
type Signer struct {
	Key ledger.Key
	// announcements lead from the first key to this one.
	announcements []ledger.Announcement
}

// Since are the announcements that lead from a key to the one that signs now: none when it is the same. For a ledger without
// a key, or with one of which nothing is known, it is that of the present key alone.
func (s Signer) Since(id string) []ledger.Announcement {
	last := len(s.announcements) - 1
	for i := last; i >= 0; i-- {
		if s.announcements[i].ID == id {
			return s.announcements[i+1:]
		}
	}
	return s.announcements[last:]
}

// Options of a Keeper.
type Options struct {
	// Namespace of the operator, where the Secret is.
	Namespace string
	// Lifetime is the age past which a key is replaced; 0 stands for ever.
	Lifetime time.Duration
	// Clock is the real one when nil.
	Clock clock.PassiveClock
}

// Keeper has the key. Its methods may be called from any goroutine; only the leader may replace keys.
type Keeper struct {
	client   client.Client
	secret   client.ObjectKey
	lifetime time.Duration
	clock    clock.PassiveClock

	mu     sync.Mutex
	known  *Signer
	readAt time.Time
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;update,resourceNames=trailkeeper-ledger-key,namespace=trailkeeper-system

// NewKeeper returns a Keeper. The client must read without a cache: the operator may not list Secrets.
func NewKeeper(c client.Client, options Options) *Keeper {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &Keeper{
		client: c, secret: client.ObjectKey{Namespace: options.Namespace, Name: SecretName},
		lifetime: options.Lifetime, clock: options.Clock,
	}
}

// Signer returns the key that signs now. It is read again once a minute, made when there is none, and replaced when it is too
// old or when the Secret has the annotation that asks for it.
func (k *Keeper) Signer(ctx context.Context) (Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known != nil && k.clock.Since(k.readAt) < fresh {
		return *k.known, nil
	}
	for range maxRaces {
		signer, err := k.read(ctx)
		if apierrors.IsConflict(err) {
			continue
		}
		if err != nil {
			return Signer{}, fmt.Errorf("loading the key of ledgers from Secret %s: %w", k.secret, err)
		}
		k.known, k.readAt = &signer, k.clock.Now()
		return signer, nil
	}
	return Signer{}, fmt.Errorf("loading the key of ledgers from Secret %s: %w", k.secret, errRaces)
}

var errRaces = errors.New("somebody else writes it all the time")

func (k *Keeper) read(ctx context.Context) (Signer, error) {
	secret, err := ownsecret.Obtain(ctx, k.client, k.secret, func(secret *corev1.Secret) {
		key := ledger.NewKey()
		k.store(secret, Signer{key, []ledger.Announcement{ledger.Announce(key.Public())}})
	})
	if err != nil {
		return Signer{}, err
	}
	signer, made, err := parse(secret)
	if err != nil {
		return Signer{}, fmt.Errorf("%w: restore the Secret from a backup, or delete it to have a new key made, which readers of ledgers "+
			"will find announced by nobody", err)
	}
	_, asked := secret.Annotations[v1alpha1.RotateKeyAnnotation]
	if !asked && (k.lifetime == 0 || k.clock.Since(made) < k.lifetime) {
		return signer, nil
	}
	return k.replace(ctx, secret, signer)
}

// replace has a new key take over, if nobody has written the Secret since it was read.
func (k *Keeper) replace(ctx context.Context, secret *corev1.Secret, before Signer) (Signer, error) {
	next := ledger.NewKey()
	announcement, err := before.Key.Endorse(next.Public())
	if err != nil {
		return Signer{}, err
	}
	announcements := slices.Concat(before.announcements, []ledger.Announcement{announcement})
	after := Signer{next, announcements[max(0, len(announcements)-maxAnnouncements):]}
	log.FromContext(ctx).Info("Replacing the key of ledgers", "old", before.Key.String(), "new", next.String())
	delete(secret.Annotations, v1alpha1.RotateKeyAnnotation)
	k.store(secret, after)
	ctx, cancel := context.WithTimeout(ctx, ownsecret.Timeout)
	defer cancel()
	return after, k.client.Update(ctx, secret)
}

func (k *Keeper) store(secret *corev1.Secret, signer Signer) {
	announcements, _ := json.Marshal(signer.announcements) // Strings always encode.
	secret.Data = map[string][]byte{
		seedKey:          signer.Key.Seed(),
		madeKey:          []byte(k.clock.Now().UTC().Format(time.RFC3339)),
		announcementsKey: announcements,
	}
}

// parse reads the Secret. Its errors name the keys at fault and never show a value.
func parse(secret *corev1.Secret) (Signer, time.Time, error) {
	key, err := ledger.KeyFromSeed(secret.Data[seedKey])
	if err != nil {
		return Signer{}, time.Time{}, fmt.Errorf("under %q: %w", seedKey, err)
	}
	made, err := time.Parse(time.RFC3339, string(secret.Data[madeKey]))
	if err != nil {
		return Signer{}, time.Time{}, fmt.Errorf("%q is not a time", madeKey)
	}
	signer := Signer{Key: key}
	if err := json.Unmarshal(secret.Data[announcementsKey], &signer.announcements); err != nil {
		return Signer{}, time.Time{}, fmt.Errorf("%q is not a list of announcements", announcementsKey)
	}
	if n := len(signer.announcements); n == 0 || signer.announcements[n-1].ID != key.Public().ID() {
		return Signer{}, time.Time{}, fmt.Errorf("%q does not end with the key of %q", announcementsKey, seedKey)
	}
	return signer, made, nil
}
