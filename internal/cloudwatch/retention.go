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

var errOverridden = errors.New( //nolint:staticcheck // Shown to users in a condition.
	"An account-level policy of CloudWatch Logs sets this log group's retention: remove retentionInDays, or the policy")

// EnsureRetention puts the group's retention to the given number of days, unless it is that already. An account-level
// policy that sets another is left alone (ReasonRetentionOverridden).
//
// It asks with DescribeLogGroups first, because PutRetentionPolicy allows five calls a second for a whole account; an
// identity that may not describe just puts.
func (s *Stream) EnsureRetention(ctx context.Context, days int32) error {
	if group := s.describeGroup(ctx); group != nil {
		switch {
		case aws.ToInt32(group.RetentionInDays) == days:
			return nil
		case group.RetentionPolicyName != nil:
			return fault.Wait(v1alpha1.ReasonRetentionOverridden, 0, errOverridden)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := s.client.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: &s.group, RetentionInDays: &days})
	return classify("logs:PutRetentionPolicy", err)
}

// describeGroup is the group as CloudWatch Logs describes it; nil when it cannot be learned. Names come in order, so
// an exact match is on the first page.
func (s *Stream) describeGroup(ctx context.Context) *types.LogGroup {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := s.client.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &s.group})
	if err != nil {
		return nil
	}
	for i := range page.LogGroups {
		if aws.ToString(page.LogGroups[i].LogGroupName) == s.group {
			return &page.LogGroups[i]
		}
	}
	return nil
}
