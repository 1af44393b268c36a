package app

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/internal/jsonclient"
)

// clients are how the operator reaches the API server, beside the manager's cache. None has a limit of its own.
type clients struct {
	// direct reads and writes without a cache.
	direct client.Client
	// rest is for events and what they speak of.
	rest rest.Interface
	// watches is for the watch of events alone.
	watches rest.Interface
	// storing knows when the API server last stored something.
	storing *witness
}

// newClients has whoever uses the configuration after it noted by clients.storing.
func newClients(config *rest.Config, scheme *runtime.Scheme) (clients, error) {
	made := clients{storing: watchStoring(config, clock.RealClock{})}
	var err error
	if made.direct, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return made, fmt.Errorf("making a client: %w", err)
	}
	if made.rest, err = jsonclient.New(config); err != nil {
		return made, err
	}
	made.watches, err = jsonclient.NewForWatches(config)
	return made, err
}
