package cloudwatch

import (
	"bytes"
	"context"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// encoded is the SDK's protocol with a body that was encoded beforehand. The SDK escapes records byte by byte and copies
// them several times, which is most of what a call costs; it goes on to sign the call, to find the endpoint and to read
// the answer.
type encoded struct {
	smithyhttp.ClientProtocol
	body *body
}

// withBody sends a body in place of the call's input.
func withBody(body *body) func(*cloudwatchlogs.Options) {
	return func(options *cloudwatchlogs.Options) {
		options.Protocol = encoded{ClientProtocol: options.Protocol, body: body}
	}
}

// SerializeRequest has the SDK make the request, and gives it the body.
func (e encoded) SerializeRequest(
	ctx context.Context, schema *smithy.OperationSchema, input smithy.Serializable, request *smithyhttp.Request,
) error {
	if err := e.ClientProtocol.SerializeRequest(ctx, schema, input, request); err != nil {
		return err
	}
	with, err := request.SetStream(bytes.NewReader(e.body.wire()))
	if err != nil {
		return err
	}
	if e.body.packed.Len() > 0 {
		with.Header.Set("Content-Encoding", "gzip")
	}
	*request = *with
	return nil
}
