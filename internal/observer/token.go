package observer

import (
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// token is what the webhook's paths end in. Only API servers should know it, and events are for others to read.
var token = regexp.MustCompile(`/[0-9a-f]{32}$`)

const withoutToken = "/..."

// transform leaves out of an object, before anybody sees it, what nobody asks for and nobody should see.
func (o *Observer) transform(object any) (any, error) {
	if configuration, ok := object.(*unstructured.Unstructured); ok && o.isOwnKind(configuration) {
		hideTokens(configuration)
	}
	return slim(object)
}

// hideTokens cuts the tokens out of the paths. Another path, which somebody wrote, stays as it is.
func hideTokens(configuration *unstructured.Unstructured) {
	webhooks, _ := configuration.Object["webhooks"].([]any)
	for _, each := range webhooks {
		webhook, _ := each.(map[string]any)
		client, _ := webhook["clientConfig"].(map[string]any)
		hideToken(client, "url")
		service, _ := client["service"].(map[string]any)
		hideToken(service, "path")
	}
}

func hideToken(fields map[string]any, key string) {
	if address, ok := fields[key].(string); ok {
		fields[key] = token.ReplaceAllString(address, withoutToken)
	}
}
