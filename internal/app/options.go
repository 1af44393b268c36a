package app

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/trailkeeper/trailkeeper/internal/certs"
	"github.com/trailkeeper/trailkeeper/internal/delivery"
	"github.com/trailkeeper/trailkeeper/internal/shards"
)

// Options are the operator's flags.
type Options struct {
	// Namespace is the operator's own: its trails see the whole cluster.
	Namespace string
	// ClusterID names the cluster in log streams and external ids; when empty, the uid of the namespace kube-system.
	ClusterID string

	// WebhookURL is where the API server reaches the recorder; when empty, through the Service.
	WebhookURL string
	// WebhookBindAddress is where the recorder listens; when empty, at WebhookURL's own address or at port 9443.
	WebhookBindAddress string
	// ClientCAFile has the authorities of the client certificates that API servers show; when empty none is asked for.
	ClientCAFile string
	// ClientName is the common name that such a certificate must have; empty for any.
	ClientName string
	// AuthorityLifetime and CertificateLifetime are for how long the webhook's authority and serving certificates are valid.
	AuthorityLifetime, CertificateLifetime time.Duration
	// SpillDir holds the local file for events that the API server does not take.
	SpillDir string
	// SpillMaxBytes bounds that file.
	SpillMaxBytes int64

	// MetricsBindAddress and HealthProbeBindAddress are where metrics and probes are served; 0 switches them off.
	MetricsBindAddress     string
	HealthProbeBindAddress string
	// PprofBindAddress is where Go's profiles are served, to whoever reaches it; 0 switches them off.
	PprofBindAddress string
	// APIBindAddress is where the query API and the console are served, with the webhook's certificate; 0 switches them off.
	APIBindAddress string
	// LeaderElect makes only one replica write configuration and verify, and only one deliver each trail.
	LeaderElect bool
	// DeliveryShards is into how many parts the replicas divide the delivery of trails.
	DeliveryShards int
	// DrainDelay is how long the recorder goes on answering after it was told to stop.
	DrainDelay time.Duration
	// LeaseDuration is how long a leader that fell silent is waited for.
	LeaseDuration time.Duration
	// CompressDeliveries has records sent as gzip.
	CompressDeliveries bool
	// BacklogSingle, BacklogEvents and BacklogBytes bound what waits for a destination that takes nothing: see delivery.Limits.
	BacklogSingle int
	BacklogEvents int64
	BacklogBytes  int64
	// DrainTimeout is how long a deleted trail waits for its destination.
	DrainTimeout time.Duration
	// LedgerKeyLifetime is the age past which the key that signs ledgers is replaced; 0 for never.
	LedgerKeyLifetime time.Duration

	zap zap.Options
}

// defaultNamespace is the one that the manifests use.
const defaultNamespace = "trailkeeper-system"

// BindFlags defines the flags.
func (o *Options) BindFlags(flags *flag.FlagSet) {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = defaultNamespace
	}
	flags.StringVar(&o.Namespace, "namespace", namespace, "the operator's own namespace; trails in it see the whole cluster")
	flags.StringVar(&o.ClusterID, "cluster-id", "", "the cluster's name in log streams and external ids (default the uid of the namespace kube-system)")
	flags.StringVar(&o.WebhookURL, "webhook-url", "",
		"where the API server reaches the recorder, such as https://127.0.0.1:9443, instead of through the Service")
	flags.StringVar(&o.WebhookBindAddress, "webhook-bind-address", "",
		"where the recorder listens (default the host and port of --webhook-url, or :9443)")
	flags.StringVar(&o.ClientCAFile, "webhook-client-ca-file", "",
		"a PEM file with the authorities of the client certificate that the API server shows to the recorder (default none is asked for)")
	flags.StringVar(&o.ClientName, "webhook-client-name", "",
		"the common name that the API server's client certificate must have (default any)")
	flags.DurationVar(&o.AuthorityLifetime, "webhook-authority-lifetime", certs.DefaultLifetimes.Authority,
		"for how long the authority of the recorder's certificates is valid; the same for all replicas")
	flags.DurationVar(&o.CertificateLifetime, "webhook-certificate-lifetime", certs.DefaultLifetimes.Serving,
		"for how long a replica's serving certificate is valid")
	flags.StringVar(&o.SpillDir, "spill-dir", os.TempDir()+"/trailkeeper",
		"the folder of the local file for events that the API server does not take; one replica each")
	flags.Int64Var(&o.SpillMaxBytes, "spill-max-bytes", 256<<20, "how large the local file may grow")
	flags.StringVar(&o.MetricsBindAddress, "metrics-bind-address", ":8080", "where metrics are served; 0 for nowhere")
	flags.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "where health probes are served; 0 for nowhere")
	flags.StringVar(&o.PprofBindAddress, "pprof-bind-address", "0",
		"where Go's profiles are served without asking who wants them, such as 127.0.0.1:6060; 0 for nowhere")
	flags.StringVar(&o.APIBindAddress, "api-bind-address", ":9444",
		"where the query API and the console are served, with the rights of whoever asks; 0 for nowhere")
	flags.BoolVar(&o.LeaderElect, "leader-elect", true, "let only one replica verify trails, and only one deliver the events of each")
	flags.IntVar(&o.DeliveryShards, "delivery-shards", 8,
		"into how many parts the replicas divide the delivery of trails; the same for all replicas")
	flags.DurationVar(&o.DrainDelay, "drain-delay", 5*time.Second,
		"how long the recorder goes on answering, and is not ready, after it was told to stop")
	flags.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", 15*time.Second,
		"how long other replicas wait for a leader, or for one that delivers, that fell silent")
	flags.IntVar(&o.BacklogSingle, "backlog-soft-limit", delivery.DefaultSingle,
		"how many of a trail's events may wait as AuditEvents for a failing destination; past it the oldest are packed")
	flags.Int64Var(&o.BacklogEvents, "backlog-hard-limit", delivery.DefaultEvents,
		"how many of a trail's events may wait in all; past it no more are recorded, and the trail's failurePolicy decides")
	flags.Int64Var(&o.BacklogBytes, "backlog-max-bytes", delivery.DefaultBytes,
		"how many bytes of etcd packed events of all trails may take; past it as with --backlog-hard-limit, for trails that have any")
	flags.DurationVar(&o.DrainTimeout, "drain-timeout", 10*time.Minute,
		"how long a deleted trail waits for its destination to take what was recorded, before it goes without")
	flags.DurationVar(&o.LedgerKeyLifetime, "ledger-key-lifetime", 365*24*time.Hour,
		"the age past which the key that signs the trails' ledgers is replaced; 0 for never")
	flags.BoolVar(&o.CompressDeliveries, "compress-deliveries", true,
		"send records to CloudWatch Logs as gzip: a tenth of the bytes for more CPU")
	o.zap.BindFlags(flags)
}

// off is the address of what is served nowhere.
const off = "0"

// minLease keeps the derived renewal times above the API server's own latency.
const minLease = 3 * time.Second

// maxDrain leaves the rest of a stop within the manifests' terminationGracePeriodSeconds.
const maxDrain = 30 * time.Second

// Bounds of certificates' lives: shorter ones would be renewed all the time, and the authority's must outlast what it signs.
const (
	minCertificate  = 10 * time.Second
	maxCertificate  = 90 * 24 * time.Hour
	maxAuthority    = 10 * 365 * 24 * time.Hour
	authorityLeaves = 4
)

// minKeyLifetime keeps a ledger from being mostly about its keys.
const minKeyLifetime = 24 * time.Hour

// Bounds of what may wait: fewer would be packed all the time, and more than these an API server does not serve well, or
// etcd does not hold.
const (
	minBacklog      = 100
	maxSingle       = 100_000
	maxBacklog      = 20_000_000
	minBacklogBytes = 1 << 20
	maxBacklogBytes = 4 << 30
)

// clusterID is what log stream names, external ids of roles and log queries all accept.
var clusterID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// Validate says what is wrong with the options, and what to write instead.
func (o *Options) Validate() error {
	switch {
	case len(validation.IsDNS1123Label(o.Namespace)) > 0:
		return fmt.Errorf("--namespace is %q: give the name of the operator's own namespace, lower case letters, digits and -", o.Namespace)
	case o.ClusterID != "" && !clusterID.MatchString(o.ClusterID):
		return fmt.Errorf("--cluster-id is %q: give up to 128 letters, digits and . _ -", o.ClusterID)
	case o.SpillDir == "":
		return errors.New("--spill-dir is empty: give a folder of this replica's own")
	case o.SpillMaxBytes < 1<<20:
		return fmt.Errorf("--spill-max-bytes is %d: give at least %d", o.SpillMaxBytes, 1<<20)
	case o.LeaseDuration < minLease:
		return fmt.Errorf("--leader-elect-lease-duration is %s: give at least %s", o.LeaseDuration, minLease)
	case o.DeliveryShards < 1 || o.DeliveryShards > shards.Max:
		return fmt.Errorf("--delivery-shards is %d: give 1 to %d", o.DeliveryShards, shards.Max)
	case o.BacklogSingle < minBacklog || o.BacklogSingle > maxSingle:
		return fmt.Errorf("--backlog-soft-limit is %d: give %d to %d", o.BacklogSingle, minBacklog, maxSingle)
	case o.BacklogEvents < int64(o.BacklogSingle) || o.BacklogEvents > maxBacklog:
		return fmt.Errorf("--backlog-hard-limit is %d: give at least --backlog-soft-limit, which is %d, and at most %d",
			o.BacklogEvents, o.BacklogSingle, maxBacklog)
	case o.BacklogBytes < minBacklogBytes || o.BacklogBytes > maxBacklogBytes:
		return fmt.Errorf("--backlog-max-bytes is %d: give %d to %d", o.BacklogBytes, int64(minBacklogBytes), int64(maxBacklogBytes))
	case o.CertificateLifetime < minCertificate || o.CertificateLifetime > maxCertificate:
		return fmt.Errorf("--webhook-certificate-lifetime is %s: give %s to %s", o.CertificateLifetime, minCertificate, maxCertificate)
	case o.AuthorityLifetime < authorityLeaves*o.CertificateLifetime || o.AuthorityLifetime > maxAuthority:
		return fmt.Errorf("--webhook-authority-lifetime is %s: give at least %d times --webhook-certificate-lifetime, which is %s, and at most %s",
			o.AuthorityLifetime, authorityLeaves, o.CertificateLifetime, maxAuthority)
	case o.ClientName != "" && o.ClientCAFile == "":
		return errors.New("--webhook-client-name needs --webhook-client-ca-file: give the authorities that sign the API server's certificate")
	case o.DrainTimeout < 0:
		return fmt.Errorf("--drain-timeout is %s: give 0s or more", o.DrainTimeout)
	case o.LedgerKeyLifetime != 0 && o.LedgerKeyLifetime < minKeyLifetime:
		return fmt.Errorf("--ledger-key-lifetime is %s: give at least %s, or 0 to keep the key", o.LedgerKeyLifetime, minKeyLifetime)
	case o.DrainDelay < 0 || o.DrainDelay > maxDrain:
		return fmt.Errorf("--drain-delay is %s: give 0s to %s", o.DrainDelay, maxDrain)
	case o.WebhookURL != "" && !isWebhookURL(o.WebhookURL):
		return errors.New("--webhook-url must be https://HOST:PORT without anything else, such as https://127.0.0.1:9443")
	}
	for _, address := range []struct{ flag, value string }{
		{"--webhook-bind-address", o.bindAddress()},
		{"--metrics-bind-address", o.MetricsBindAddress},
		{"--health-probe-bind-address", o.HealthProbeBindAddress},
		{"--pprof-bind-address", o.PprofBindAddress},
		{"--api-bind-address", o.APIBindAddress},
	} {
		nowhere := address.value == off && address.flag != "--webhook-bind-address"
		if _, port, err := net.SplitHostPort(address.value); !nowhere && (err != nil || !isPort(port)) {
			return fmt.Errorf("%s is %q: give HOST:PORT or :PORT", address.flag, address.value)
		}
	}
	return nil
}

// isWebhookURL says whether the API server can be given the URL: it refuses queries and users, and a path would be
// part of the recorder's own.
func isWebhookURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Hostname() != "" && isPort(parsed.Port()) && text == "https://"+parsed.Host
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

// bindAddress is where the recorder listens.
func (o *Options) bindAddress() string {
	if o.WebhookBindAddress != "" {
		return o.WebhookBindAddress
	}
	if parsed, err := url.Parse(o.WebhookURL); err == nil && parsed.Host != "" {
		return parsed.Host
	}
	return ":9443"
}
