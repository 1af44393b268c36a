package awsauth

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// direct carries requests to a handler without a network, so that fake time can pass around them.
type direct struct{ http.Handler }

func (d direct) Do(request *http.Request) (*http.Response, error) {
	recorder, received := httptest.NewRecorder(), httptest.NewRequestWithContext(request.Context(), request.Method, request.URL.String(), request.Body)
	received.Header, received.ContentLength = request.Header, request.ContentLength
	d.ServeHTTP(recorder, received)
	return recorder.Result(), nil
}

// assumptions notes when roles were assumed, and what was refused.
type assumptions struct {
	mu      sync.Mutex
	times   []time.Time
	refused []string
}

func (a *assumptions) see(call cloudsim.Call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if call.Action == "AssumeRole" {
		a.times = append(a.times, time.Now())
	}
	if call.Code != "" {
		a.refused = append(a.refused, call.Action+": "+call.Code)
	}
}

// TestTenThousandDeliveriesAssumeTheRoleOncePerExpiryWindow: the simulator refuses what has expired, by the same clock.
func TestTenThousandDeliveriesAssumeTheRoleOncePerExpiryWindow(t *testing.T) {
	for _, lasts := range []time.Duration{15 * time.Minute, time.Hour} {
		t.Run(lasts.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				seen := &assumptions{}
				auth := newAuthenticator(withRole())
				auth.regions.Add("eu-west-1", operatorAt(simulator(seen)))
				trail := roleTrail("shop")
				seconds := int32(lasts.Seconds())
				trail.Spec.CloudWatch.Auth.STS.DurationSeconds = &seconds

				const deliveries, pause = 10_000, 3 * time.Second
				for n := range deliveries {
					session, err := auth.Session(t.Context(), trail)
					g.Expect(err).NotTo(HaveOccurred())
					if n == 0 {
						makeStream(t, session)
					}
					deliver(t, session)
					time.Sleep(pause) //nolint:forbidigo // Fake time.
				}
				g.Expect(seen.refused).To(BeEmpty())
				windows := int(deliveries * pause / (lasts - expiryWindow))
				g.Expect(len(seen.times)).To(And(BeNumerically(">=", int(deliveries*pause/lasts)), BeNumerically("<=", windows+1)))
				early := map[time.Duration]bool{}
				for i := 1; i < len(seen.times); i++ {
					gap := seen.times[i].Sub(seen.times[i-1])
					g.Expect(gap).To(And(BeNumerically(">=", lasts-expiryWindow), BeNumerically("<", lasts)))
					early[lasts-gap] = true
				}
				g.Expect(len(early)).To(BeNumerically(">", 1), "trails that began together must not go on together")
			})
		})
	}
}

// simulator has a user, who is the operator, and a role that trusts it with the external id of namespace shop.
func simulator(seen *assumptions) *cloudsim.Simulator {
	return cloudsim.New(cloudsim.Options{
		OnCall:  seen.see,
		Discard: true,
		Users: []cloudsim.User{{
			Name: "operator", AccessKeyID: "AKIAOPERATOR00000000", SecretAccessKey: "operators-secret",
			Policy: cloudsim.Allow("sts:AssumeRole"),
		}},
		Roles: []cloudsim.Role{{Name: "audit", Policy: cloudsim.Allow("logs:*"), Trust: cloudsim.Trust{
			Principals: []string{"arn:aws:iam::123456789012:user/operator"}, ExternalID: "c1/shop",
		}}},
	})
}

func operatorAt(handler http.Handler) aws.Config {
	return aws.Config{
		Region:       "eu-west-1",
		HTTPClient:   direct{handler},
		BaseEndpoint: aws.String("http://simulator"),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAOPERATOR00000000", "operators-secret", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// deliver pushes one record.
func deliver(t *testing.T, session *Session) {
	t.Helper()
	event := types.InputLogEvent{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: aws.String("{}")}
	_, err := cloudwatchlogs.NewFromConfig(session.Config).PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: aws.String("/audit"), LogStreamName: aws.String("stream"), LogEvents: []types.InputLogEvent{event},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

// makeStream makes the stream that deliver pushes to.
func makeStream(t *testing.T, session *Session) {
	t.Helper()
	g := NewWithT(t)
	client := cloudwatchlogs.NewFromConfig(session.Config)
	_, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/audit")})
	g.Expect(err).NotTo(HaveOccurred())
	_, err = client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: aws.String("/audit"), LogStreamName: aws.String("stream"),
	})
	g.Expect(err).NotTo(HaveOccurred())
}
