package awsauth

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	// maxSessions bounds the sessions that are kept. A trail beyond it costs one more AssumeRole for each use.
	maxSessions = 4096
	// maxRegions bounds the SDK configurations that are kept; AWS has fewer than fifty regions.
	maxRegions = 64
)

// Options are what an Authenticator needs.
type Options struct {
	// Reader reads Secrets. It must not be a cache: the operator may get single Secrets, never list or watch them.
	Reader client.Reader
	// Grants reads the ConfigMap RoleGrantsName. It should be a cache: it is asked for each use of a role.
	Grants client.Reader
	// Tokens requests tokens of service accounts.
	Tokens client.SubResourceClientConstructor
	// OperatorNamespace is where trails have tenant scope, and where the operator's service account lives.
	OperatorNamespace string
	// ServiceAccount is the operator's service account; messages name it.
	ServiceAccount string
	// ClusterID is the first part of derived external ids.
	ClusterID string
}

// Authenticator gives trails their AWS identity. It is safe for concurrent use.
type Authenticator struct {
	options Options

	mu       sync.Mutex
	regions  *lru.Cache // region → aws.Config
	sessions *lru.Cache // trail uid → *Session
}

// New makes an Authenticator.
func New(options Options) *Authenticator {
	return &Authenticator{options: options, regions: lru.New(maxRegions), sessions: lru.New(maxSessions)}
}

// Session returns the trail's identity: the same one, with its cached credentials, until something that it depends
// on changes. It reads the trail's Secret but does not call AWS. Its errors are faults where the user can do something.
func (a *Authenticator) Session(ctx context.Context, trail *v1alpha1.AuditTrail) (*Session, error) {
	if trail.Spec.CloudWatch == nil {
		return nil, fmt.Errorf("trail %s/%s has no destination in AWS", trail.Namespace, trail.Name)
	}
	base, err := a.region(ctx, trail.Spec.CloudWatch.Region)
	if err != nil {
		return nil, err
	}
	switch auth := trail.Spec.CloudWatch.Auth; {
	case auth.STS != nil:
		return a.roleSession(ctx, trail, base)
	case auth.Ambient != nil:
		return a.ambientSession(trail, base)
	}
	keys, err := a.readKeys(ctx, trail)
	if err != nil {
		if kept := a.kept(trail.UID); kept != nil && a.leaving(ctx, trail.Namespace) {
			return kept, nil
		}
		return nil, err
	}
	return a.keySession(trail, base, keys), nil
}

// Forget drops the trail's session, so that its credentials leave memory, and the next use begins with what the Secret,
// the service account or the operator's own environment has by then.
func (a *Authenticator) Forget(trail *v1alpha1.AuditTrail) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions.Remove(trail.UID)
	if destination := trail.Spec.CloudWatch; destination != nil && destination.Auth.Ambient != nil {
		a.regions.Remove(destination.Region)
	}
}

// ExternalID is the external id with which the operator assumes the trail's role; "" for none.
//
// A project trail must not borrow the operator's identity for a role that trusts the operator for somebody else's
// sake (AWS IAM, "The confused deputy problem"), so its external id is derived from what it cannot choose.
func (a *Authenticator) ExternalID(trail *v1alpha1.AuditTrail) string {
	if trail.Spec.CloudWatch == nil || trail.Spec.CloudWatch.Auth.STS == nil {
		return ""
	}
	sts := trail.Spec.CloudWatch.Auth.STS
	switch {
	case sts.ServiceAccountName != "":
		return ""
	case trail.Namespace == a.options.OperatorNamespace:
		return sts.ExternalID
	default:
		return a.options.ClusterID + "/" + trail.Namespace
	}
}

// leaving says that a namespace is being deleted. What a trail's identity is read from then goes, in any order, before what
// was recorded is pushed; so the session that was had last remains in use until the trail is gone, or AWS refuses it.
func (a *Authenticator) leaving(ctx context.Context, namespace string) bool {
	var live corev1.Namespace
	err := a.options.Reader.Get(ctx, client.ObjectKey{Name: namespace}, &live)
	return err == nil && !live.DeletionTimestamp.IsZero()
}

// Changed is told that what the trail's identity is read from has changed or gone: a service account that is gone must not
// live on in credentials that it gave, unless it goes with its namespace.
func (a *Authenticator) Changed(ctx context.Context, trail *v1alpha1.AuditTrail) {
	if !a.leaving(ctx, trail.Namespace) {
		a.Forget(trail)
	}
}

// kept is the trail's last session, nil when there is none.
func (a *Authenticator) kept(uid types.UID) *Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keptLocked(uid)
}

func (a *Authenticator) keptLocked(uid types.UID) *Session {
	if kept, ok := a.sessions.Get(uid); ok {
		if s, ok := kept.(*Session); ok {
			return s
		}
	}
	return nil
}

// sessionKey is everything that credentials depend on: sessions with different keys share nothing.
type sessionKey struct {
	namespace, region, secretVersion string
	generation                       int64
	roleARN, externalID, account     string
}

// session returns the kept session of the trail if its key is still right, or the one that create gives.
func (a *Authenticator) session(uid types.UID, key sessionKey, create func() *Session) *Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept := a.keptLocked(uid); kept != nil && kept.key == key {
		return kept
	}
	made := create()
	made.key = key
	a.sessions.Add(uid, made)
	return made
}

// region loads the SDK's standard settings (endpoints, the operator's own identity) for a region, once.
func (a *Authenticator) region(ctx context.Context, region string) (aws.Config, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, ok := a.regions.Get(region); ok {
		if cfg, ok := kept.(aws.Config); ok {
			return cfg, nil
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(region),
		// The callers own the retries: nested ones (STS inside CloudWatch Logs) multiply.
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS settings of the operator for region %s: %w", region, err)
	}
	cfg.HTTPClient = sharedClient(cfg.HTTPClient)
	a.regions.Add(region, cfg)
	return cfg, nil
}
