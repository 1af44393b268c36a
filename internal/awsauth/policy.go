package awsauth

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// maxSessionName is STS's limit for RoleSessionName (2 to 64 characters).
const maxSessionName = 64

// sessionName is how the trail shows up in AWS CloudTrail. Kubernetes names have no character that STS refuses. A name
// that is too long ends in a digest, so that two trails still have two.
func sessionName(trail *v1alpha1.AuditTrail) string {
	const digits = 8
	name := "trailkeeper-" + trail.Namespace + "-" + trail.Name
	if len(name) <= maxSessionName {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	return name[:maxSessionName-digits-1] + "-" + hex.EncodeToString(digest[:digits/2])
}

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// sessionPolicy narrows an assumed role to the base policy on the trail's one log group, whatever the role allows.
// Most actions are evaluated on the group's ARN with ":*", some without; DescribeLogGroups only on a wildcard.
func sessionPolicy(trail *v1alpha1.AuditTrail) string {
	destination := trail.Spec.CloudWatch
	actions := []string{
		"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DeleteLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents",
		"logs:FilterLogEvents", // It is up to the role whether the query API may read.
	}
	actions = append(actions, optionalActions(destination)...)
	group := groupARN(destination)
	all := *destination
	all.LogGroupName = "*"
	policy, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{
		{"Allow", actions, []string{group, group + ":*"}},
		{"Allow", []string{"logs:DescribeLogGroups"}, []string{groupARN(&all)}},
	}})
	if err != nil {
		panic("encoding strings as JSON: " + err.Error()) // json.Marshal cannot fail for this type.
	}
	return string(policy)
}

// optionalActions are those that fields of the destination ask for, beyond the base policy.
func optionalActions(destination *v1alpha1.CloudWatchDestination) []string {
	var actions []string
	if destination.RetentionInDays != nil {
		actions = append(actions, "logs:PutRetentionPolicy")
	}
	if destination.KMSKeyARN != "" {
		actions = append(actions, "logs:AssociateKmsKey")
	}
	if len(destination.Tags) > 0 {
		actions = append(actions, "logs:TagResource")
	}
	return actions
}

// groupARN is the ARN of a log group in the role's account.
func groupARN(destination *v1alpha1.CloudWatchDestination) string {
	role, err := arn.Parse(destination.Auth.STS.RoleARN)
	if err != nil { // The API server admits only role ARNs.
		role = arn.ARN{Partition: "*", AccountID: "*"}
	}
	return arn.ARN{
		Partition: role.Partition, Service: "logs", Region: destination.Region, AccountID: role.AccountID,
		Resource: "log-group:" + destination.LogGroupName,
	}.String()
}
