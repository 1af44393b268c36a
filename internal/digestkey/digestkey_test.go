package digestkey

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const namespace = "trailkeeper-system"

func TestLoadMakesTheKeyOnce(t *testing.T) {
	g := NewWithT(t)
	c := fake.NewClientBuilder().Build()
	first, err := Load(t.Context(), c, namespace)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(first).To(HaveLen(Size))
	g.Expect(first).NotTo(Equal(make([]byte, Size)))
	g.Expect(Load(t.Context(), c, namespace)).To(Equal(first))

	other, err := Load(t.Context(), fake.NewClientBuilder().Build(), namespace)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other).NotTo(Equal(first), "each installation has its own")
}

func TestLoadAdoptsTheKeyOfAFasterReplica(t *testing.T) {
	g := NewWithT(t)
	var theirs []byte
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if theirs == nil {
				faster := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: obj.GetNamespace(), Name: obj.GetName()}}
				generate(faster)
				theirs = faster.Data[secretKey]
				if err := c.Create(ctx, faster); err != nil {
					return err
				}
			}
			return c.Create(ctx, obj, opts...)
		},
	}).Build()
	ours, err := Load(t.Context(), c, namespace)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(ours).To(Equal(theirs))
}

func TestLoadRefusesAKeyOfAnotherLengthWithoutShowingIt(t *testing.T) {
	g := NewWithT(t)
	c := fake.NewClientBuilder().WithObjects(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: SecretName},
		Data:       map[string][]byte{secretKey: []byte("hunter2")},
	}).Build()
	_, err := Load(t.Context(), c, namespace)
	g.Expect(err).To(MatchError(And(ContainSubstring("has 7 bytes"), ContainSubstring("delete it"))))
	g.Expect(err.Error()).NotTo(ContainSubstring("hunter2"))
}

func TestLoadReturnsWhatTheServerSaid(t *testing.T) {
	g := NewWithT(t)
	refused := errors.New("refused")
	c := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			_, bounded := ctx.Deadline()
			g.Expect(bounded).To(BeTrue())
			return refused
		},
	}).Build()
	_, err := Load(t.Context(), c, namespace)
	g.Expect(err).To(MatchError(refused))
}
