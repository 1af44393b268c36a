package cloudsim_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/klauspost/compress/gzip"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// basePolicy is the six actions that a trail needs.
const basePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":["logs:DescribeLogGroups",
	"logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents","logs:DeleteLogStream","logs:DescribeLogStreams"]}]}`

// adminPolicy is what the cases use that look at what the base policy does not show.
const adminPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":"logs:*"}]}`

// contractTarget is an endpoint that knows a user alice with the base policy, and an administrator.
type contractTarget struct {
	url          string
	alice, admin aws.CredentialsProvider
}

// contract is one case's connection. Each case has a group of its own, since the base policy cannot delete groups.
type contract struct {
	contractTarget
	ctx    context.Context
	logs   *cloudwatchlogs.Client
	admin  *cloudwatchlogs.Client
	sts    *sts.Client
	group  *string
	stream *string
}

func (c *contract) createGroup() error {
	_, err := c.logs.CreateLogGroup(c.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: c.group})
	return err
}

func (c *contract) createStream(name string) error {
	_, err := c.logs.CreateLogStream(c.ctx, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: c.group, LogStreamName: &name})
	return err
}

func (c *contract) deleteStream() error {
	_, err := c.logs.DeleteLogStream(c.ctx, &cloudwatchlogs.DeleteLogStreamInput{LogGroupName: c.group, LogStreamName: c.stream})
	return err
}

// put sends an event for each age, and tells the rejected indexes: too new from, too old until, expired until.
func (c *contract) put(ages ...time.Duration) (string, error) {
	var events []types.InputLogEvent
	for _, age := range ages {
		events = append(events, types.InputLogEvent{Timestamp: aws.Int64(time.Now().Add(-age).UnixMilli()), Message: aws.String("m")})
	}
	output, err := c.logs.PutLogEvents(c.ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: c.group, LogStreamName: c.stream, LogEvents: events})
	if err != nil || output.RejectedLogEventsInfo == nil {
		return "accepted", err
	}
	info := output.RejectedLogEventsInfo
	return fmt.Sprint(index(info.TooNewLogEventStartIndex), index(info.TooOldLogEventEndIndex), index(info.ExpiredLogEventEndIndex)), nil
}

// withStream makes group and stream first.
func (c *contract) withStream(do func() (string, error)) (string, error) {
	if err := errors.Join(c.createGroup(), c.createStream(*c.stream)); err != nil {
		return "", err
	}
	return do()
}

// describeStreams tells the names that start with a prefix.
func (c *contract) describeStreams(prefix string) (string, error) {
	output, err := c.logs.DescribeLogStreams(c.ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: c.group, LogStreamNamePrefix: &prefix})
	if err != nil {
		return "", err
	}
	var names []string
	for _, stream := range output.LogStreams {
		names = append(names, *stream.LogStreamName)
	}
	return strings.Join(names, " "), nil
}

// createGroupOfClass makes the group with a class, and tells the class that it has.
func (c *contract) createGroupOfClass(class types.LogGroupClass) (string, error) {
	if _, err := c.logs.CreateLogGroup(c.ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: c.group, LogGroupClass: class}); err != nil {
		return "", err
	}
	group, err := c.describeGroup()
	return cmp.Or(string(group.LogGroupClass), "none"), err
}

func (c *contract) describeGroup() (types.LogGroup, error) {
	output, err := c.admin.DescribeLogGroups(c.ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: c.group})
	if err != nil || len(output.LogGroups) == 0 {
		return types.LogGroup{}, err
	}
	return output.LogGroups[0], nil
}

// retain sets the retention of a new group, and tells which it has.
func (c *contract) retain(days int32) (string, error) {
	if err := c.createGroup(); err != nil {
		return "", err
	}
	if _, err := c.admin.PutRetentionPolicy(c.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: c.group, RetentionInDays: &days}); err != nil {
		return "", err
	}
	group, err := c.describeGroup()
	return fmt.Sprint(aws.ToInt32(group.RetentionInDays)), err
}

// tag puts one tag on a new group, and tells which it has.
func (c *contract) tag(key, arnSuffix string) (string, error) {
	if err := c.createGroup(); err != nil {
		return "", err
	}
	arn := "arn:aws:logs:" + region + ":123456789012:log-group:" + *c.group
	if _, err := c.admin.TagResource(c.ctx, &cloudwatchlogs.TagResourceInput{
		ResourceArn: aws.String(arn + arnSuffix), Tags: map[string]string{key: "v"},
	}); err != nil {
		return "", err
	}
	output, err := c.admin.ListTagsForResource(c.ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return "", err
	}
	return fmt.Sprint(output.Tags), nil
}

// stored counts what the stream holds after a put.
func (c *contract) stored(ages ...time.Duration) (string, error) {
	return c.withStream(func() (string, error) {
		if _, err := c.put(ages...); err != nil {
			return "", err
		}
		output, err := c.admin.GetLogEvents(c.ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: c.group, LogStreamName: c.stream, StartFromHead: aws.Bool(true),
		})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(len(output.Events), " stored"), nil
	})
}

// putMany puts so many events of so many bytes each.
func (c *contract) putMany(count, bytes int) (string, error) {
	return c.withStream(func() (string, error) {
		message, now := strings.Repeat("x", bytes), time.Now().UnixMilli()
		events := make([]types.InputLogEvent, count)
		for i := range events {
			events[i] = types.InputLogEvent{Timestamp: &now, Message: &message}
		}
		_, err := c.logs.PutLogEvents(c.ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: c.group, LogStreamName: c.stream, LogEvents: events})
		return "accepted", err
	})
}

// zipped is the SDK's protocol with a body that is compressed, or damaged on the way.
type zipped struct {
	smithyhttp.ClientProtocol
	damage func([]byte) []byte
}

// SerializeRequest has the SDK make the request, and compresses its body.
func (z zipped) SerializeRequest(
	ctx context.Context, schema *smithy.OperationSchema, input smithy.Serializable, request *smithyhttp.Request,
) error {
	if err := z.ClientProtocol.SerializeRequest(ctx, schema, input, request); err != nil {
		return err
	}
	var packed bytes.Buffer
	zipper := gzip.NewWriter(&packed)
	if _, err := io.Copy(zipper, request.GetStream()); err != nil {
		return err
	}
	if err := zipper.Close(); err != nil {
		return err
	}
	with, err := request.SetStream(bytes.NewReader(z.damage(packed.Bytes())))
	if err != nil {
		return err
	}
	with.Header.Set("Content-Encoding", "gzip")
	*request = *with
	return nil
}

// storedCompressed puts an event in a compressed call, and tells what the stream holds.
func (c *contract) storedCompressed(message string, damage func([]byte) []byte) (string, error) {
	return c.withStream(func() (string, error) {
		_, err := c.logs.PutLogEvents(c.ctx, &cloudwatchlogs.PutLogEventsInput{
			LogGroupName: c.group, LogStreamName: c.stream,
			LogEvents: []types.InputLogEvent{{Timestamp: aws.Int64(time.Now().UnixMilli()), Message: &message}},
		}, func(o *cloudwatchlogs.Options) { o.Protocol = zipped{o.Protocol, damage} })
		if err != nil {
			return "", err
		}
		output, err := c.admin.GetLogEvents(c.ctx, &cloudwatchlogs.GetLogEventsInput{LogGroupName: c.group, LogStreamName: c.stream})
		if err != nil || len(output.Events) != 1 {
			return "not stored", err
		}
		return *output.Events[0].Message, nil
	})
}

func intact(body []byte) []byte { return body }

// contractCases are what both endpoints are asked. The result is a summary, or the code of the error; want is what AWS
// documents. Where moto answers otherwise, moto says what: docs/reference/moto.md lists these.
var contractCases = []struct {
	name string
	do   func(*contract) (string, error)
	want string
	moto string
}{
	{name: "a group twice", want: "ResourceAlreadyExistsException", do: func(c *contract) (string, error) {
		return "", errors.Join(c.createGroup(), c.createGroup())
	}},
	{name: "a stream without its group", want: "ResourceNotFoundException", do: func(c *contract) (string, error) {
		return "", c.createStream("s")
	}},
	{name: "a stream twice", want: "ResourceAlreadyExistsException", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return "", c.createStream(*c.stream) })
	}},
	{name: "streams by prefix", want: "foo foo-bar", do: func(c *contract) (string, error) {
		if err := errors.Join(c.createGroup(), c.createStream("foo-bar"), c.createStream("foo"), c.createStream("bar")); err != nil {
			return "", err
		}
		return c.describeStreams("foo")
	}},
	{name: "streams of a missing group", want: "ResourceNotFoundException", do: func(c *contract) (string, error) {
		return c.describeStreams("foo")
	}},
	{name: "put", want: "accepted", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return c.put(time.Second, 0) })
	}},
	{name: "put without a group", want: "ResourceNotFoundException", do: func(c *contract) (string, error) { return c.put(0) }},
	{name: "put without a stream", want: "ResourceNotFoundException", do: func(c *contract) (string, error) {
		if err := c.createGroup(); err != nil {
			return "", err
		}
		return c.put(0)
	}},
	{name: "put backwards", want: "InvalidParameterException", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return c.put(0, time.Minute) })
	}},
	{name: "put 25 hours", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return c.put(25*time.Hour, 0) })
	}},
	{name: "put what is too old", want: "-1 1 -1", moto: "-1 0 -1", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return c.put(15*24*time.Hour, 0) })
	}},
	{name: "put what is too new", want: "1 -1 -1", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return c.put(0, -3*time.Hour) })
	}},
	{name: "delete a stream twice", want: "ResourceNotFoundException", do: func(c *contract) (string, error) {
		return c.withStream(func() (string, error) { return "", errors.Join(c.deleteStream(), c.deleteStream()) })
	}},
	{name: "a group's name with a space", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) {
		*c.group = "a b"
		return "accepted", c.createGroup()
	}},
	{name: "a stream's name with a colon", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) {
		return "accepted", errors.Join(c.createGroup(), c.createStream("a:b"))
	}},
	{name: "a group of AWS's own", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) {
		*c.group = "aws/audit"
		return "accepted", c.createGroup()
	}},
	{name: "put compressed", want: `{"a":"ä\\"b"}`, moto: "HTTP 500", do: func(c *contract) (string, error) {
		return c.storedCompressed(`{"a":"ä\\"b"}`, intact)
	}},
	{name: "put compressed, cut short", want: "SerializationException", moto: "HTTP 500", do: func(c *contract) (string, error) {
		return c.storedCompressed("m", func(body []byte) []byte { return body[:len(body)/2] })
	}},
	{name: "put compressed, more than a batch takes", want: "InvalidParameterException", moto: "HTTP 500", do: func(c *contract) (string, error) {
		return c.storedCompressed(strings.Repeat("x", 1<<20-25), intact)
	}},
	{name: "10,000 events", want: "accepted", do: func(c *contract) (string, error) { return c.putMany(10_000, 1) }},
	{name: "10,001 events", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) { return c.putMany(10_001, 1) }},
	{name: "one byte more than a batch takes", want: "InvalidParameterException", moto: "accepted", do: func(c *contract) (string, error) {
		return c.putMany(1024, 1024-26+1)
	}},
	{name: "what a probe stores", want: "0 stored", do: func(c *contract) (string, error) { return c.stored(15 * 24 * time.Hour) }},
	{name: "what is stored beside a probe", want: "1 stored", do: func(c *contract) (string, error) { return c.stored(15*24*time.Hour, 0) }},
	{name: "no class", want: "STANDARD", moto: "none", do: func(c *contract) (string, error) { return c.createGroupOfClass("") }},
	{name: "infrequent access", want: "INFREQUENT_ACCESS", moto: "none", do: func(c *contract) (string, error) {
		return c.createGroupOfClass(types.LogGroupClassInfrequentAccess)
	}},
	{name: "a class that is none", want: "InvalidParameterException", moto: "none", do: func(c *contract) (string, error) { return c.createGroupOfClass("CHEAP") }},
	{name: "retention of a year", want: "365", do: func(c *contract) (string, error) { return c.retain(365) }},
	{name: "retention of two days", want: "InvalidParameterException", moto: "2", do: func(c *contract) (string, error) { return c.retain(2) }},
	{name: "a tag", want: "map[team:v]", do: func(c *contract) (string, error) { return c.tag("team", "") }},
	{name: "a tag of AWS's own", want: "InvalidParameterException", moto: "map[aws:team:v]", do: func(c *contract) (string, error) { return c.tag("aws:team", "") }},
	{name: "a tag by the ARN with :*", want: "InvalidParameterException", moto: "map[]", do: func(c *contract) (string, error) { return c.tag("team", ":*") }},
	{name: "a key that does not exist", want: "InvalidParameterException", moto: "HTTP 500", do: func(c *contract) (string, error) {
		key := "arn:aws:kms:" + region + ":123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
		_, err := c.admin.AssociateKmsKey(c.ctx, &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: c.group, KmsKeyId: &key})
		return "accepted", errors.Join(c.createGroup(), err)
	}},
	{name: "who am I", want: "arn:aws:iam::123456789012:user/alice", do: func(c *contract) (string, error) {
		identity, err := c.sts.GetCallerIdentity(c.ctx, &sts.GetCallerIdentityInput{})
		return aws.ToString(identity.Arn), err
	}},
	{name: "an action outside of the policy", want: "AccessDeniedException", moto: "HTTP 403", do: func(c *contract) (string, error) {
		_, err := c.logs.PutRetentionPolicy(c.ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: c.group, RetentionInDays: aws.Int32(7)})
		return "", err
	}},
	{name: "a wrong secret", want: "InvalidSignatureException", moto: "HTTP 403", do: func(c *contract) (string, error) {
		c.logs, _ = clients(c.url, region, wrongSecret(c.ctx, c.alice))
		return "", c.createGroup()
	}},
	{name: "an unknown key", want: "UnrecognizedClientException", moto: "HTTP 403", do: func(c *contract) (string, error) {
		c.logs, _ = clients(c.url, region, credentials.NewStaticCredentialsProvider("AKIANOBODY", "x", ""))
		return "", c.createGroup()
	}},
}

// summarize turns an error into its code; that of the last one, if they were joined.
func summarize(result string, err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs := joined.Unwrap()
		err = errs[len(errs)-1]
	}
	var known smithy.APIError
	var response *awshttp.ResponseError
	switch {
	case err == nil:
		return result
	case errors.As(err, &known):
		return known.ErrorCode()
	case errors.As(err, &response):
		return fmt.Sprint("HTTP ", response.HTTPStatusCode())
	}
	return err.Error()
}

func runContract(t *testing.T, target contractTarget, isMoto bool) {
	t.Helper()
	for i, test := range contractCases {
		t.Run(test.name, func(t *testing.T) {
			c := &contract{
				contractTarget: target, ctx: t.Context(), group: aws.String(fmt.Sprintf("/contract/%d", i)), stream: aws.String("cluster-a"),
			}
			c.logs, c.sts = clients(target.url, region, target.alice)
			c.admin, _ = clients(target.url, region, target.admin)
			want := test.want
			if isMoto && test.moto != "" {
				want = test.moto
			}
			NewWithT(t).Expect(summarize(test.do(c))).To(Equal(want))
		})
	}
}

// wrongSecret is an access key with another secret.
func wrongSecret(ctx context.Context, provider aws.CredentialsProvider) aws.CredentialsProvider {
	known, err := provider.Retrieve(ctx)
	if err != nil {
		panic(err) // It is a static one.
	}
	return credentials.NewStaticCredentialsProvider(known.AccessKeyID, "wrong", "")
}

func TestContractSimulator(t *testing.T) {
	g := NewWithT(t)
	policy, err := cloudsim.ParsePolicy(basePolicy)
	g.Expect(err).NotTo(HaveOccurred())
	user, admin := alice, alice
	user.Policy = policy
	admin.Name, admin.AccessKeyID = "admin", "AKIAADMIN00000000000"
	sim := cloudsim.New(cloudsim.Options{Users: []cloudsim.User{user, admin}})
	url, stop, err := sim.Start(t.Context(), "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer stop()
	runContract(t, contractTarget{url: url, alice: keys(user), admin: keys(admin)}, false)
}

func TestContractMoto(t *testing.T) {
	runContract(t, startMoto(t), true)
}

var update = flag.Bool("update", false, "write docs/reference/moto.md")

// TestDifferencesAreListed keeps the list of what moto answers otherwise than AWS documents.
func TestDifferencesAreListed(t *testing.T) {
	g := NewWithT(t)
	var list strings.Builder
	list.WriteString("# Where moto differs from AWS\n\n" +
		"Tests ask the same of the project's simulator and of moto 5.2. These are the cases in which moto answers otherwise than\n" +
		"AWS's API references say; the simulator follows the references. `HTTP 403` is an answer in XML, which the SDK's JSON\n" +
		"protocol cannot read. The list is made by `go test ./internal/cloudsim -run Differences -update`.\n\n" +
		"| asked | AWS's documentation | moto |\n| --- | --- | --- |\n")
	for _, test := range contractCases {
		if test.moto != "" {
			fmt.Fprintf(&list, "| %s | `%s` | `%s` |\n", test.name, test.want, test.moto)
		}
	}
	const path = "../../docs/reference/moto.md"
	if *update {
		g.Expect(os.WriteFile(path, []byte(list.String()), 0o600)).To(Succeed())
	}
	listed, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(listed)).To(Equal(list.String()), "run go test ./internal/cloudsim -run Differences -update")
}
