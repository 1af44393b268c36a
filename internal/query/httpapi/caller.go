package httpapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
)

// reviewTimeout bounds the question whether a caller may read.
const reviewTimeout = 10 * time.Second

// callers make clients that have the rights of whoever calls.
type callers struct {
	// config has no credentials, unless there is a key, whose owner has them.
	config *rest.Config
	key    string
	scheme *runtime.Scheme
	mapper meta.RESTMapper
}

// newCallers keeps of the operator's configuration only how the API server is reached, and nothing of who the operator is.
func newCallers(config *rest.Config, key string) (*callers, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), authorizationv1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("registering kinds: %w", err)
	}
	config = rest.CopyConfig(config)
	if key == "" {
		config = rest.AnonymousClientConfig(config)
	}
	config.QPS = -1 // The API server's priority and fairness limits callers, and so does this server.
	config.UserAgent = "trailkeeper-query-api"
	config.DisableCompression = true // It would take both sides longer than the network between them.
	return &callers{config: config, key: key, scheme: scheme, mapper: staticMapper()}, nil
}

// staticMapper knows the two kinds, so that no request begins with discovery.
func staticMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(v1alpha1.GroupVersion.WithKind("AuditEvent"), meta.RESTScopeNamespace)
	mapper.Add(authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"), meta.RESTScopeRoot)
	return mapper
}

// client has the rights of the token.
func (c *callers) client(token string) (client.Client, error) {
	config := rest.CopyConfig(c.config)
	switch {
	case c.key == "":
		config.BearerToken = token
	case subtle.ConstantTimeCompare([]byte(token), []byte(c.key)) != 1:
		return nil, unauthorized("This is not the token that was given out when this server was started")
	}
	made, err := client.New(config, client.Options{Scheme: c.scheme, Mapper: c.mapper})
	if err != nil {
		return nil, fmt.Errorf("making a client for a caller: %w", err)
	}
	return query.NewReader(config, made)
}

// tokenOf is the token of a request: of Authorization, else of ApiKey.
func tokenOf(request *http.Request) (string, *problem) {
	if header := request.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
			return token, nil
		}
		return "", unauthorized("The header Authorization must be \"Bearer TOKEN\", with a Kubernetes token")
	}
	if token := strings.TrimSpace(request.Header.Get("ApiKey")); token != "" {
		return token, nil
	}
	return "", unauthorized("There is no token: send a Kubernetes token in the header Authorization, after \"Bearer \", or in the header ApiKey")
}

// authorize asks the API server, as the caller, whether the caller may list AuditEvents in a namespace.
func authorize(ctx context.Context, caller client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: v1alpha1.AuditEventsResource.Resource, Namespace: namespace,
		},
	}}
	err := caller.Create(ctx, review)
	switch {
	case apierrors.IsForbidden(err):
		return forbidden("list", namespace)
	case err != nil:
		return fmt.Errorf("asking the API server what the caller may do: %w", err)
	case !review.Status.Allowed:
		return forbidden("list", namespace)
	}
	return nil
}
