package uninstall

import (
	"context"
	"fmt"
	"io"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/controllers"
)

const (
	// deployment is the operator's, by the name that the manifests give it.
	deployment = "trailkeeper-manager"
	// timeout bounds everything: replicas have a minute to stop, and the nodes' agents need some time to say so.
	timeout = 3 * time.Minute
	// callTimeout bounds each call of the API server.
	callTimeout = 10 * time.Second
	// interval is between two looks at what is left.
	interval = 250 * time.Millisecond
)

// replicas selects the operator's pods.
var replicas = client.MatchingLabels{"app.kubernetes.io/name": "trailkeeper", "app.kubernetes.io/component": "manager"}

// removal is one uninstallation.
type removal struct {
	client    client.Client
	namespace string
	out       io.Writer
}

// Run stops the operator in a namespace, and deletes the webhook configurations between the moment when every replica was told
// to stop, after which none restores them, and the one when the first no longer answers. It neither needs AWS nor waits for it
// beyond what a stopping replica does. It may be run again, and where some or all is gone already. A line for each step goes
// to out. The error says what is left after three minutes.
func Run(ctx context.Context, config *rest.Config, namespace string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	config = rest.CopyConfig(config)
	config.Timeout = callTimeout
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	r := &removal{client: c, namespace: namespace, out: out}
	for _, step := range []func(context.Context) error{r.tellReplicas, r.awaitStopping, r.deleteConfigurations} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tellReplicas scales the Deployment to none.
func (r *removal) tellReplicas(ctx context.Context) error {
	object := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: deployment}}
	none := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))
	if err := r.client.SubResource("scale").Patch(ctx, object, none); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("scaling Deployment %s/%s to none: %w", r.namespace, deployment, err)
	}
	return r.say("Told the replicas of %s/%s to stop", r.namespace, deployment)
}

// awaitStopping waits until each pod was told to stop.
func (r *removal) awaitStopping(ctx context.Context) error {
	running := 0
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		pods, err := r.pods(ctx)
		running = 0
		for i := range pods {
			if pods[i].DeletionTimestamp == nil && pods[i].Status.Phase != corev1.PodFailed && pods[i].Status.Phase != corev1.PodSucceeded {
				running++
			}
		}
		return err == nil && running == 0, err
	})
	if err != nil {
		return fmt.Errorf("waiting until the replicas are told to stop (%d are not; does something scale the Deployment up again?): %w", running, err)
	}
	return nil
}

// deleteConfigurations deletes the webhook configurations, again for as long as there is a pod that might have restored them.
func (r *removal) deleteConfigurations(ctx context.Context) error {
	left := 0
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		pods, err := r.pods(ctx) // Before the deletion: what the last pod did is deleted too.
		if err != nil {
			return false, err
		}
		left = len(pods)
		return left == 0, r.deleteBoth(ctx)
	})
	if err != nil {
		return fmt.Errorf("waiting until the replicas are gone (%d are left): %w", left, err)
	}
	return r.say("No replica is left")
}

// deleteBoth deletes the configuration by which changes are refused first.
func (r *removal) deleteBoth(ctx context.Context) error {
	own := metav1.ObjectMeta{Name: controllers.WebhookConfigurationName}
	for _, each := range []struct {
		kind   string
		object client.Object
	}{
		{"ValidatingWebhookConfiguration", &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: own}},
		{"MutatingWebhookConfiguration", &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: own}},
	} {
		err := r.client.Delete(ctx, each.object)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("deleting %s %s: %w", each.kind, own.Name, err)
		}
		if err := r.say("Deleted %s %s: the API server calls the recorder no more for it", each.kind, own.Name); err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) pods(ctx context.Context) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := r.client.List(ctx, &pods, client.InNamespace(r.namespace), replicas); err != nil {
		return nil, fmt.Errorf("listing the operator's pods: %w", err)
	}
	return pods.Items, nil
}

func (r *removal) say(format string, args ...any) error {
	if _, err := fmt.Fprintf(r.out, format+"\n", args...); err != nil {
		return fmt.Errorf("saying what was done: %w", err)
	}
	return nil
}
