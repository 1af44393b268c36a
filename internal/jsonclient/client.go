// Package jsonclient makes clients of the API server that send and return JSON as it is, for those who decode it themselves.
package jsonclient

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// New makes a client for paths of any group. It fails when the configuration cannot be used.
func New(config *rest.Config) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	config.ContentType = runtime.ContentTypeJSON
	// Warnings, as of deprecated versions, are for whoever chose what to ask for: this asks for what others have changed.
	config.WarningHandler = rest.NoWarnings{}
	// Both sides would spend more on compressing than the network between them costs.
	config.DisableCompression = true
	c, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("making a client for events: %w", err)
	}
	return c, nil
}
