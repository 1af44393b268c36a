package awsauth

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

const (
	// idleConnections is how many connections to one endpoint are kept for the next call. With HTTP/1.1 each trail that
	// sends at the same moment needs its own.
	idleConnections = 64
	// pingAfter is how long a connection of HTTP/2 may be silent before it is asked whether it still lives, and
	// pingTimeout how long that answer may take: many trails share it, and a dead one would hold them all.
	pingAfter, pingTimeout = 15 * time.Second, 10 * time.Second
)

// sharedClient makes the HTTP client of a region out of what the SDK's settings gave, which may be nothing. All trails of
// the region share its connections.
func sharedClient(given aws.HTTPClient) aws.HTTPClient {
	buildable, ok := given.(*awshttp.BuildableClient)
	if !ok {
		if given != nil {
			return given
		}
		buildable = awshttp.NewBuildableClient()
	}
	return buildable.WithTransportOptions(func(transport *http.Transport) {
		transport.MaxIdleConns = 4 * idleConnections
		transport.MaxIdleConnsPerHost = idleConnections
		transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	}).Freeze()
}
