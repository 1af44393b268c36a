package cloudsim_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

const auditKey = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func TestKeyOfAGroup(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	r.AddKey(auditKey)
	associate := func(key string) error {
		_, err := r.logs.AssociateKmsKey(t.Context(), &cloudwatchlogs.AssociateKmsKeyInput{LogGroupName: aws.String(group), KmsKeyId: &key})
		return err
	}
	expectCode(g, associate(auditKey+"0"), "InvalidParameterException")
	g.Expect(associate(auditKey)).To(Succeed())
	described, err := r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*described.LogGroups[0].KmsKeyId).To(Equal(auditKey))
}

// TestAccountRetention shows that an account-level policy hides the group's own setting, and that records past it expire.
func TestAccountRetention(t *testing.T) {
	g := NewWithT(t)
	r := startWithStream(t, cloudsim.Options{})
	_, err := r.logs.PutRetentionPolicy(t.Context(), &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(group), RetentionInDays: aws.Int32(365)})
	g.Expect(err).NotTo(HaveOccurred())
	r.SetAccountRetention(cloudsim.AccountRetention{Name: "short", Days: 1})
	described, err := r.logs.DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*described.LogGroups[0].RetentionInDays).To(Equal(int32(1)))
	g.Expect(*described.LogGroups[0].RetentionPolicyName).To(Equal("short"))
	output, err := r.put(t.Context(), r.at(-25*time.Hour, 0))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(*output.RejectedLogEventsInfo.ExpiredLogEventEndIndex).To(Equal(int32(1)))
}

// TestTagging shows on which form of the ARN tagging is evaluated, and how many tags a group takes.
func TestTagging(t *testing.T) {
	const arn = "arn:aws:logs:eu-west-1:123456789012:log-group:" + group
	for resource, allowed := range map[string]bool{arn: true, arn + ":*": false} {
		g := NewWithT(t)
		bob := cloudsim.User{Name: "bob", AccessKeyID: "AKIABOB", SecretAccessKey: "bobs", Policy: cloudsim.Policy{{Actions: []string{"logs:TagResource"}, Resources: []string{resource}}}}
		r := startWithStream(t, cloudsim.Options{Users: []cloudsim.User{bob}})
		logs, _ := clients(r.url, region, keys(bob))
		tag := func(tags map[string]string) error {
			_, err := logs.TagResource(t.Context(), &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(arn), Tags: tags})
			return err
		}
		err := tag(map[string]string{"team": "red"})
		expectPermission(g, err, allowed, "logs:TagResource")
		if !allowed {
			continue
		}
		g.Expect(r.Tags(region, group)).To(Equal(map[string]string{"team": "red"}))
		many := map[string]string{}
		for i := range 50 {
			many[string(rune('a'+i%26))+string(rune('a'+i/26))] = ""
		}
		expectCode(g, tag(many), "TooManyTagsException")
	}
}

func TestSkew(t *testing.T) {
	g := NewWithT(t)
	r := start(t, cloudsim.Options{})
	for _, skew := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
		r.SetSkew(skew)
		atLogs, atSTS := callBoth(t.Context(), r.url, region, keys(alice))
		expectCode(g, atLogs, "InvalidSignatureException")
		expectCode(g, atSTS, "SignatureDoesNotMatch")
	}
	r.SetSkew(4 * time.Minute)
	atLogs, atSTS := callBoth(t.Context(), r.url, region, keys(alice))
	g.Expect(atLogs).NotTo(HaveOccurred())
	g.Expect(atSTS).NotTo(HaveOccurred())
}
