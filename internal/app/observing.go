package app

import (
	"fmt"

	"k8s.io/client-go/dynamic"

	"github.com/trailkeeper/trailkeeper/controllers"
	"github.com/trailkeeper/trailkeeper/internal/observer"
)

// addObserver records what the API server sends to no webhook, on the leader.
func (o *leader) addObserver() error {
	client, err := dynamic.NewForConfigAndClient(o.mgr.GetConfig(), o.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("making a client for watches: %w", err)
	}
	return o.add(observer.New(observer.Options{
		Client:  client,
		Mapper:  o.mgr.GetRESTMapper(),
		Record:  o.recorder.Observed,
		OwnName: controllers.WebhookConfigurationName,
		Own:     func(version string) bool { return o.configuration.Wrote(version) || o.attempts.Wrote(version) },
	}))
}
