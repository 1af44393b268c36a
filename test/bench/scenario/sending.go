package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/audit"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// sentRecords are as many as are built; they are sent over and over.
	sentRecords = 10_000
	// sendTimes is how often each way of sending sends them in a round of the full measurement.
	sendTimes = 20
	// sendSetting is a setting that makes the records 1.4 KB, of what people write.
	sendSetting = "LOG_LEVEL=debug LOG_FORMAT=json FEATURES=checkout,search,offers CACHE_TTL=300s REGION=eu-west-1 " +
		`MESSAGES={"greeting":"Good morning","farewell":"See you soon","path":"C:\shop"} DATABASE=postgres://orders.shop.svc:5432/orders POOL=20 TIMEOUT=5s`
)

// sender pushes all records so many times, and says how many bytes their batches have, and how many batches there were.
type sender func(ctx context.Context, times int) (bytes, batches int, err error)

// sent compares the CPU of the sending stage, from built records to accepted batches, with that of a plain loop around
// the SDK. All send the same records from this process to a simulator in another one.
func sent(ctx context.Context, _ *Rig, size Size, into *report.Report) error {
	rig := newRig(io.Discard)
	defer rig.close()
	receiver, err := rig.startWebhook(ctx, ReceiverCommand)
	if err != nil {
		return err
	}
	defer setEnvironment(map[string]string{
		"AWS_ENDPOINT_URL": receiver.at.URL, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	})()
	records, err := builtRecords()
	if err != nil {
		return err
	}
	loop := newLoop(receiver.at.URL, records)
	ways := []struct {
		name  string
		send  sender
		bound float64
	}{{"loop", loop.send, 0}, {"plain", sending(records, false), 0.65}, {"gzip", sending(records, true), 0.85}}
	times := max(1, sendTimes*size.Rounds/Full.Rounds)
	seconds := make([][]float64, len(ways))
	var bytes, batches int
	for round := range size.Rounds + 1 {
		for i, way := range ways {
			took, err := rig.cpuOf(func() (err error) {
				bytes, batches, err = way.send(ctx, times)
				return err
			})
			if err != nil {
				return fmt.Errorf("sending %s: %w", way.name, err)
			}
			if round > 0 { // The first one warms up.
				seconds[i] = append(seconds[i], took.Seconds()/float64(len(records)*times)*1e6)
			}
		}
	}
	for i, way := range ways[1:] {
		var ratios []float64
		for round := range size.Rounds {
			ratios = append(ratios, seconds[i+1][round]/seconds[0][round])
		}
		into.Add("delivery."+way.name+".cpu_ratio", load.Median(ratios), "of a plain loop around the SDK", report.AtMost(way.bound))
		into.Add("delivery."+way.name+".cpu_s_per_million", load.Median(seconds[i+1]), "s", report.Target{})
	}
	into.Add("delivery.fill", 100*float64(bytes)/float64(batches*cloudwatch.MaxBatchBytes), "%", report.AtLeast(95))
	into.AddRow(remark("sending", fmt.Sprintf("%d records of %d bytes", len(records)*times, len(records[0].Message)),
		fmt.Sprintf("%d batches; the plain loop takes %.1f CPU s per million", batches, load.Median(seconds[0]))))
	return nil
}

// cpuOf is the CPU time that this process spends on something.
func (r *Rig) cpuOf(do func() error) (time.Duration, error) {
	before, err := testenv.UsageOf(os.Getpid())
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := testenv.UsageOf(os.Getpid())
	return after.CPU - before.CPU, err
}

// setEnvironment sets variables, and returns how to set them back.
func setEnvironment(values map[string]string) (restore func()) {
	before := map[string]string{}
	for name, value := range values {
		before[name] = os.Getenv(name)
		_ = os.Setenv(name, value) // It fails only for names that cannot be.
	}
	return func() {
		for name, value := range before {
			_ = os.Setenv(name, value)
		}
	}
}

// builtRecords are records as delivery builds them.
func builtRecords() ([]cloudwatch.Record, error) {
	trail := sendTrail()
	events := &backlog{trail: trail, digester: audit.NewDigester([]byte("bench")), objects: make([]corev1.ConfigMap, 100), count: sentRecords}
	for i := range events.objects {
		events.objects[i] = events.object(i)
	}
	head := ledger.Genesis(string(trail.UID))
	records := make([]cloudwatch.Record, sentRecords)
	for i := range records {
		event := events.event(i)
		event.Spec.Changes[0].From = jsonOf(sendSetting)
		spec, err := json.Marshal(event.Spec)
		if err != nil {
			return nil, fmt.Errorf("encoding an AuditEvent: %w", err)
		}
		message, next, err := head.Record(ledger.Event{
			Name: event.Name, Namespace: event.Namespace, ID: event.Spec.ID, Spec: spec,
		}, ledger.Judgement{Outcome: v1alpha1.OutcomePersisted})
		if err != nil {
			return nil, err
		}
		head = next
		records[i] = cloudwatch.Record{Time: event.Spec.Time.UnixMilli(), Message: message}
	}
	return records, nil
}

func sendTrail() *v1alpha1.AuditTrail {
	return &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: backlogNamespace, Name: "bench", UID: "7d0c6a52-6f4e-4f0e-9a55-0d5e3b6f6c11"},
		Spec: v1alpha1.AuditTrailSpec{
			Type: v1alpha1.TrailTypeCloudWatch,
			CloudWatch: &v1alpha1.CloudWatchDestination{
				Region: region, LogGroupName: logGroup, LogStreamName: "sending",
				Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: secretName}}},
			},
		},
	}
}

// sending is what delivery does with built records: it packs them, opens the trail's stream for each batch and puts it.
func sending(records []cloudwatch.Record, compress bool) sender {
	opener := cloudwatch.NewOpener(awsauth.New(awsauth.Options{Reader: onlySecret{}, ClusterID: "bench"}), "bench")
	opener.Compress = compress
	return func(ctx context.Context, times int) (bytes, batches int, err error) {
		packer := cloudwatch.NewPacker(0)
		for i := range times * len(records) {
			full, err := packer.Add(records[i%len(records)])
			if err != nil {
				return 0, 0, err
			}
			if full == nil {
				continue
			}
			if err := sendBatch(ctx, opener, full); err != nil {
				return 0, 0, err
			}
			bytes, batches = bytes+sizeOf(full), batches+1
		}
		last := packer.Flush()
		return bytes + sizeOf(last), batches + 1, sendBatch(ctx, opener, last)
	}
}

// sendBatch opens the stream anew, as delivery does for each batch.
func sendBatch(ctx context.Context, opener *cloudwatch.Opener, batch []cloudwatch.Record) error {
	stream, err := opener.Open(ctx, sendTrail())
	if err != nil {
		return err
	}
	result, err := stream.Put(ctx, batch)
	if err == nil && result.Accepted != len(batch) {
		err = fmt.Errorf("%d of %d records were accepted", result.Accepted, len(batch))
	}
	return err
}

func sizeOf(batch []cloudwatch.Record) (bytes int) {
	for i := range batch {
		bytes += batch[i].Size()
	}
	return bytes
}

// onlySecret reads the Secret with the simulator's key, whichever is asked for.
type onlySecret struct{ client.Reader }

// Get reads it.
func (onlySecret) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if secret, ok := into.(*corev1.Secret); ok {
		awsSecret(key.Namespace, key.Name, awsUser.AccessKeyID).DeepCopyInto(secret)
		secret.Data = map[string][]byte{}
		for name, value := range awsSecret(key.Namespace, key.Name, awsUser.AccessKeyID).StringData {
			secret.Data[name] = []byte(value)
		}
	}
	return nil
}
