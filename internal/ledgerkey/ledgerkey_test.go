package ledgerkey

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const namespace = "trailkeeper-system"

var secretKey = client.ObjectKey{Namespace: namespace, Name: SecretName}

// keeper is one replica's, with a clock of its own.
func keeper(c client.Client, lifetime time.Duration) (*Keeper, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	return NewKeeper(c, Options{Namespace: namespace, Lifetime: lifetime, Clock: clock}), clock
}

func signer(ctx context.Context, t *testing.T, k *Keeper) Signer {
	t.Helper()
	signer, err := k.Signer(ctx)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return signer
}

func TestReplicasHaveOneKey(t *testing.T) {
	g := NewWithT(t)
	c := fake.NewClientBuilder().Build()
	one, _ := keeper(c, 0)
	two, _ := keeper(c, 0)
	first := signer(t.Context(), t, one)
	g.Expect(signer(t.Context(), t, two)).To(Equal(first))
	g.Expect(first.Since("")).To(HaveLen(1))
	g.Expect(first.Since("")[0].PublicKey).To(Equal(first.Key.Public().String()))
	g.Expect(first.Since(first.Key.Public().ID())).To(BeEmpty())
	g.Expect(fmt.Sprintf("%v %+v %#v", first.Key, first, first.Key)).NotTo(ContainSubstring(fmt.Sprintf("%v", first.Key.Seed())[1:40]))
}

// TestAFasterReplicaWins: both find nothing, and one of them makes the key.
func TestAFasterReplicaWins(t *testing.T) {
	g := NewWithT(t)
	var theirs Signer
	raced := false
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if !raced {
				raced = true
				faster, _ := keeper(c, 0)
				theirs = signer(ctx, t, faster)
			}
			return c.Create(ctx, object, options...)
		},
	}).Build()
	slower, _ := keeper(c, 0)
	g.Expect(signer(t.Context(), t, slower)).To(Equal(theirs))
	g.Expect(raced).To(BeTrue())
}

func TestAKeyIsReplaced(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, c client.Client, clock *clocktesting.FakePassiveClock){
		"by age": func(_ *testing.T, _ client.Client, clock *clocktesting.FakePassiveClock) {
			clock.SetTime(clock.Now().Add(24 * time.Hour))
		},
		"on demand": func(t *testing.T, c client.Client, clock *clocktesting.FakePassiveClock) {
			t.Helper()
			g := NewWithT(t)
			var secret corev1.Secret
			g.Expect(c.Get(t.Context(), secretKey, &secret)).To(Succeed())
			secret.Annotations = map[string]string{v1alpha1.RotateKeyAnnotation: ""}
			g.Expect(c.Update(t.Context(), &secret)).To(Succeed())
			clock.SetTime(clock.Now().Add(fresh))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := fake.NewClientBuilder().Build()
			k, clock := keeper(c, 24*time.Hour)
			first := signer(t.Context(), t, k)
			clock.SetTime(clock.Now().Add(time.Hour))
			g.Expect(signer(t.Context(), t, k)).To(Equal(first))
			replace(t, c, clock)
			second := signer(t.Context(), t, k)
			g.Expect(second.Key).NotTo(Equal(first.Key))
			clock.SetTime(clock.Now().Add(time.Hour))
			g.Expect(signer(t.Context(), t, k)).To(Equal(second), "once")

			g.Expect(second.Since(first.Key.Public().ID())).To(ConsistOf(HaveField("PreviousID", first.Key.Public().ID())))
			endorsed, err := first.Key.Endorse(second.Key.Public())
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(second.Since(first.Key.Public().ID())).To(ConsistOf(endorsed))
			g.Expect(second.Since("unknown")).To(ConsistOf(endorsed))

			other, otherClock := keeper(c, 24*time.Hour)
			otherClock.SetTime(clock.Now())
			g.Expect(signer(t.Context(), t, other)).To(Equal(second), "whoever leads next")
			var secret corev1.Secret
			g.Expect(c.Get(t.Context(), secretKey, &secret)).To(Succeed())
			g.Expect(secret.Annotations).To(BeEmpty())
			for _, value := range secret.Data {
				g.Expect(string(value)).NotTo(ContainSubstring(string(first.Key.Seed())), "the old key is gone")
			}
		})
	}
}

// TestTwoReplaceAtOnce: a leader that was deposed without noticing loses against the one that was faster.
func TestTwoReplaceAtOnce(t *testing.T) {
	g := NewWithT(t)
	var theirs Signer
	raced := false
	late := time.Unix(1_700_000_000, 0).Add(48 * time.Hour)
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if !raced {
				raced = true
				faster, clock := keeper(c, 24*time.Hour)
				clock.SetTime(late)
				theirs = signer(ctx, t, faster)
			}
			return c.Update(ctx, object, options...)
		},
	}).Build()
	k, clock := keeper(c, 24*time.Hour)
	first := signer(t.Context(), t, k)
	clock.SetTime(late)
	second := signer(t.Context(), t, k)
	g.Expect(second).To(Equal(theirs))
	g.Expect(second.Since(first.Key.Public().ID())).To(HaveLen(1))
}

func TestADamagedSecretIsNotReplaced(t *testing.T) {
	for name, damage := range map[string]func(data map[string][]byte){
		"seed":          func(data map[string][]byte) { data[seedKey] = []byte("hunter2") },
		"made":          func(data map[string][]byte) { data[madeKey] = []byte("hunter2") },
		"announcements": func(data map[string][]byte) { data[announcementsKey] = []byte("hunter2") },
		"another key":   func(data map[string][]byte) { data[seedKey] = []byte("hunter2.hunter2.hunter2.hunter2.") },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c := fake.NewClientBuilder().Build()
			k, _ := keeper(c, 0)
			signer(t.Context(), t, k)
			var secret corev1.Secret
			g.Expect(c.Get(t.Context(), secretKey, &secret)).To(Succeed())
			damage(secret.Data)
			g.Expect(c.Update(t.Context(), &secret)).To(Succeed())
			another, _ := keeper(c, 0)
			_, err := another.Signer(t.Context())
			g.Expect(err).To(MatchError(And(ContainSubstring("restore the Secret"), Not(ContainSubstring("hunter2")))))
		})
	}
}

func TestSignerReturnsWhatTheServerSaid(t *testing.T) {
	refused := errors.New("refused")
	k, _ := keeper(fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return refused
		},
	}).Build(), 0)
	_, err := k.Signer(t.Context())
	NewWithT(t).Expect(err).To(MatchError(refused))
}
