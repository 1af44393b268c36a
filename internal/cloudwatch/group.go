package cloudwatch

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/fault"
)

// Group is a log group as CloudWatch Logs describes it.
type Group struct {
	// RetentionInDays is how long records are kept in effect; 0 for ever.
	RetentionInDays int32
	// RetentionPolicy is the account-level policy that decides RetentionInDays, "" when the group's own setting does.
	RetentionPolicy string
	// KMSKeyARN is the key that encrypts new records; "" for that of CloudWatch Logs.
	KMSKeyARN string
	// Class is the group's class; one that trails cannot ask for is as AWS spells it.
	Class v1alpha1.LogGroupClass
	// ARN is the group's ARN without ":*".
	ARN string
}

var errGroupNotListed = errors.New("DescribeLogGroups does not list the log group")

// classes of AWS, and what the API calls them.
var classNames = map[types.LogGroupClass]v1alpha1.LogGroupClass{
	"":                                  v1alpha1.LogGroupClassStandard,
	types.LogGroupClassStandard:         v1alpha1.LogGroupClassStandard,
	types.LogGroupClassInfrequentAccess: v1alpha1.LogGroupClassInfrequentAccess,
}

// DescribeGroup looks at the log group. It needs logs:DescribeLogGroups, which policies that are scoped to one group
// often refuse, and of which AWS allows ten calls a second for a whole account. Its errors are faults.
func (s *Stream) DescribeGroup(ctx context.Context) (Group, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	const operation = "logs:DescribeLogGroups"
	if err := await(ctx, s.pace.describeGroups, operation); err != nil {
		return Group{}, err
	}
	// Names come in order, so an exact match is on the first page.
	page, err := s.client.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &s.group})
	if err != nil {
		return Group{}, classify(operation, err)
	}
	for i := range page.LogGroups {
		found := &page.LogGroups[i]
		if aws.ToString(found.LogGroupName) != s.group {
			continue
		}
		class, ok := classNames[found.LogGroupClass]
		if !ok {
			class = v1alpha1.LogGroupClass(found.LogGroupClass)
		}
		return Group{
			RetentionInDays: aws.ToInt32(found.RetentionInDays),
			RetentionPolicy: aws.ToString(found.RetentionPolicyName),
			KMSKeyARN:       aws.ToString(found.KmsKeyId),
			Class:           class,
			ARN:             aws.ToString(found.LogGroupArn),
		}, nil
	}
	return Group{}, fault.Wait(v1alpha1.ReasonAWSError, 0, fault.Text(
		"The log group is not among those that CloudWatch Logs lists; the operator looks again (logs:DescribeLogGroups)", errGroupNotListed))
}

// SetRetention sets how long the group keeps records. It needs logs:PutRetentionPolicy, of which AWS allows five calls
// a second for a whole account.
func (s *Stream) SetRetention(ctx context.Context, days int32) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &s.group, RetentionInDays: &days})
	return classify("logs:PutRetentionPolicy", err)
}

// SetKey has new records encrypted with a key, in place of any other. It needs logs:AssociateKmsKey.
func (s *Stream) SetKey(ctx context.Context, keyARN string) error {
	const operation = "logs:AssociateKmsKey"
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.AssociateKmsKey(ctx, &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: &s.group, KmsKeyId: &keyARN})
	if code := codeOf(err); code == "InvalidParameterException" {
		return wait(v1alpha1.ReasonKeyNotUsable, "CloudWatch Logs cannot use the key of spec.cloudWatch.kmsKeyARN: check that it exists, is "+
			"enabled and symmetric, and that its key policy lets CloudWatch Logs of the region use it", code, operation, err)
	}
	return classify(operation, err)
}

// SetTags puts tags on the group, beside those that it has. It needs logs:TagResource on the form of the group's ARN
// without ":*", of which AWS allows five calls a second for a whole account.
func (s *Stream) SetTags(ctx context.Context, groupARN string, tags map[string]string) error {
	const operation = "logs:TagResource"
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: &groupARN, Tags: tags})
	switch code := codeOf(err); code {
	case "InvalidParameterException", "ValidationException", "TooManyTagsException":
		return wait(v1alpha1.ReasonTagsRefused, "CloudWatch Logs refuses spec.cloudWatch.tags: check that the log group has 50 tags at "+
			"most with them, and that the organization's tag policies allow them", code, operation, err)
	default:
		return classify(operation, err)
	}
}
