package api_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// trail is a valid AuditTrail that tables start from.
func trail(name string) *unstructured.Unstructured {
	return object("AuditTrail", "default", name, map[string]any{
		"type": "CloudWatch",
		"cloudWatch": map[string]any{
			"region":       "eu-west-1",
			"logGroupName": "/audit/prod",
			"auth":         map[string]any{"credentials": map[string]any{"secretRef": map[string]any{"name": "aws"}}},
		},
	})
}

func sts(roleARN string) map[string]any {
	return map[string]any{"sts": map[string]any{"roleARN": roleARN}}
}

func rules(fields ...map[string]any) []any {
	list := make([]any, 0, len(fields))
	for _, field := range fields {
		list = append(list, field)
	}
	return list
}

// manyTags are so many tags with keys and values of so many characters.
func manyTags(count, key, value int) map[string]any {
	tags := map[string]any{}
	for i := range count {
		tags[strings.Repeat("ü", key-2)+fmt.Sprintf("%02d", i)] = strings.Repeat("ü", value)
	}
	return tags
}

// TestEveryPartition shows that what is in a region must be in the region's own partition.
func TestEveryPartition(t *testing.T) {
	c := clientOf(t, env.Admin())
	grantRoles(t, map[string]any{"default": "*"})
	partitions := map[string]string{
		"eu-west-1": "aws", "us-east-1": "aws", "ap-southeast-4": "aws", "mx-central-1": "aws",
		"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov", "eusc-de-east-1": "aws-eusc", "us-iso-east-1": "aws-iso",
		"us-isob-east-1": "aws-iso-b", "eu-isoe-west-1": "aws-iso-e", "us-isof-south-1": "aws-iso-f",
	}
	for region, own := range partitions {
		for _, partition := range partitions {
			t.Run(region+" "+partition, func(t *testing.T) {
				for field, value := range map[string]any{
					"spec.cloudWatch.auth":      sts("arn:" + partition + ":iam::123456789012:role/audit"),
					"spec.cloudWatch.kmsKeyARN": "arn:" + partition + ":kms:" + region + ":123456789012:key/1234abcd",
				} {
					err := c.Create(t.Context(), edit{"spec.cloudWatch.region": region, field: value}.apply(t, trail("partition")), client.DryRunAll)
					if partition == own {
						NewWithT(t).Expect(err).NotTo(HaveOccurred(), field)
					} else {
						NewWithT(t).Expect(err).To(MatchError(ContainSubstring("AWS partition than region")), field)
					}
				}
			})
		}
	}
}

// TestEveryRetention shows that exactly the numbers of days that CloudWatch Logs takes are accepted.
func TestEveryRetention(t *testing.T) {
	c := clientOf(t, env.Admin())
	taken := []int64{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
	for _, days := range append([]int64{0, 2, 364, 366, 3654, -1}, taken...) {
		err := c.Create(t.Context(), edit{"spec.cloudWatch.retentionInDays": days}.apply(t, trail("retention")), client.DryRunAll)
		NewWithT(t).Expect(err == nil).To(Equal(slices.Contains(taken, days)), "%d days: %v", days, err)
	}
}

func TestTrailsThatAreAccepted(t *testing.T) {
	c := clientOf(t, env.Admin())
	grantRoles(t, map[string]any{"default": "*"})
	const role = ":iam::123456789012:role/team/audit"
	for name, change := range map[string]edit{
		"access keys":               {},
		"cluster only":              {"spec.type": "ClusterOnly", "spec.cloudWatch": nil},
		"role":                      {"spec.cloudWatch.auth": sts("arn:aws" + role)},
		"role in China":             {"spec.cloudWatch.region": "cn-north-1", "spec.cloudWatch.auth": sts("arn:aws-cn" + role)},
		"role in GovCloud":          {"spec.cloudWatch.region": "us-gov-west-1", "spec.cloudWatch.auth": sts("arn:aws-us-gov" + role)},
		"role in the EU's own":      {"spec.cloudWatch.region": "eusc-de-east-1", "spec.cloudWatch.auth": sts("arn:aws-eusc" + role)},
		"role in iso":               {"spec.cloudWatch.region": "us-iso-east-1", "spec.cloudWatch.auth": sts("arn:aws-iso" + role)},
		"role in iso-b":             {"spec.cloudWatch.region": "us-isob-east-1", "spec.cloudWatch.auth": sts("arn:aws-iso-b" + role)},
		"role in iso-e":             {"spec.cloudWatch.region": "eu-isoe-west-1", "spec.cloudWatch.auth": sts("arn:aws-iso-e" + role)},
		"role in iso-f":             {"spec.cloudWatch.region": "us-isof-south-1", "spec.cloudWatch.auth": sts("arn:aws-iso-f" + role)},
		"longest group":             {"spec.cloudWatch.logGroupName": strings.Repeat("a", 512)},
		"every character of groups": {"spec.cloudWatch.logGroupName": "/aA9._-#/x"},
		"longest stream":            {"spec.cloudWatch.logStreamName": strings.Repeat("a", 505)},
		"name with a stream":        {"metadata.name": "shop.ledger", "spec.cloudWatch.logStreamName": "shop"},
		"name without a stream":     {"metadata.name": "shop.ledger", "spec.type": "ClusterOnly", "spec.cloudWatch": nil},
		"stream with odd letters":   {"spec.cloudWatch.logStreamName": "cluster a/[$LATEST] ü"},
		"retention of a year":       {"spec.cloudWatch.retentionInDays": int64(365)},
		"key":                       {"spec.cloudWatch.kmsKeyARN": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
		"key of several regions":    {"spec.cloudWatch.kmsKeyARN": "arn:aws:kms:eu-west-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"},
		"key in China":              {"spec.cloudWatch.region": "cn-north-1", "spec.cloudWatch.kmsKeyARN": "arn:aws-cn:kms:cn-north-1:123456789012:key/1234abcd"},
		"class":                     {"spec.cloudWatch.logGroupClass": "InfrequentAccess"},
		"tags":                      {"spec.cloudWatch.tags": map[string]any{"cost center": "4711", "team:größe": "a/b=c+d-e@f", "empty": ""}},
		"as many tags as AWS takes": {"spec.cloudWatch.tags": manyTags(50, 128, 256)},
		"suspended":                 {"spec.suspend": true},
		"every operation":           {"spec.rules": rules(map[string]any{"level": "Changes", "operations": []any{"Create", "Update", "Delete", "Connect"}})},
		"kinds":                     {"spec.rules": rules(map[string]any{"level": "Metadata", "kinds": []any{"virtualCluster", "pod", "CONFIG-map2"}, "fieldManagers": []any{"helm", "kubectl-*"}})},
		"subresources":              {"spec.rules": rules(map[string]any{"level": "Metadata", "resources": []any{map[string]any{"resources": []any{"pods/exec", "*/scale", "*", "*/*", "deployments/*"}}}})},
		"largest trail": {"spec.rules": func() []any {
			groups := make([]any, 0, 16)
			for range 16 {
				groups = append(groups, map[string]any{"group": "apps", "resources": []any{strings.Repeat("d", 63) + "/" + strings.Repeat("s", 63)}})
			}
			kinds := make([]any, 0, 64)
			for i := range 64 {
				kinds = append(kinds, strings.Repeat("k", 60)+strconv.Itoa(100+i))
			}
			all := make([]map[string]any, 0, 32)
			for range 32 {
				all = append(all, map[string]any{"level": "Object", "resources": groups, "kinds": kinds})
			}
			return rules(all...)
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(c.Create(t.Context(), change.apply(t, trail("accepted")), client.DryRunAll)).To(Succeed())
		})
	}
}

// Each refusal must tell what to write instead.
func TestTrailsThatAreRefused(t *testing.T) {
	c := clientOf(t, env.Admin())
	grantRoles(t, map[string]any{"default": "*"})
	credentials := map[string]any{"secretRef": map[string]any{"name": "aws"}}
	role := map[string]any{"roleARN": "arn:aws:iam::123456789012:role/audit"}
	kinds := func(names ...any) []any { return rules(map[string]any{"level": "Metadata", "kinds": names}) }
	resources := func(names ...any) []any {
		return rules(map[string]any{"level": "Metadata", "resources": []any{map[string]any{"resources": names}}})
	}
	for name, test := range map[string]struct {
		change edit
		want   string
	}{
		"two ways to authenticate": {edit{"spec.cloudWatch.auth": map[string]any{"credentials": credentials, "sts": role}}, "set exactly one of auth.credentials (access keys in a Secret), auth.sts (a role) and auth.ambient (the operator's own identity)"},
		"keys and the operator's":  {edit{"spec.cloudWatch.auth": map[string]any{"credentials": credentials, "ambient": map[string]any{}}}, "set exactly one of auth.credentials"},
		"all three":                {edit{"spec.cloudWatch.auth": map[string]any{"credentials": credentials, "sts": role, "ambient": map[string]any{}}}, "set exactly one of auth.credentials"},
		"a field of ambient":       {edit{"spec.cloudWatch.auth": map[string]any{"ambient": map[string]any{"roleARN": "x"}}}, `unknown field "spec.cloudWatch.auth.ambient.roleARN"`},
		"no way to authenticate":   {edit{"spec.cloudWatch.auth": map[string]any{}}, "set exactly one of auth.credentials"},
		"no auth":                  {edit{"spec.cloudWatch.auth": nil}, "spec.cloudWatch.auth: Required value"},
		"region that is a city":    {edit{"spec.cloudWatch.region": "frankfurt"}, "region must be an AWS region's code, such as eu-west-1"},
		"availability zone":        {edit{"spec.cloudWatch.region": "eu-west-1a"}, "region must be an AWS region's code, such as eu-west-1"},
		"role of China elsewhere":  {edit{"spec.cloudWatch.auth": sts("arn:aws-cn:iam::123456789012:role/audit")}, "use a role of the region's own partition (arn:aws:... for most regions"},
		"role of AWS in GovCloud":  {edit{"spec.cloudWatch.region": "us-gov-east-1", "spec.cloudWatch.auth": sts("arn:aws:iam::123456789012:role/audit")}, "arn:aws-us-gov:... for us-gov-*"},
		"role of iso-b in iso":     {edit{"spec.cloudWatch.region": "us-iso-east-1", "spec.cloudWatch.auth": sts("arn:aws-iso-b:iam::123456789012:role/audit")}, "in another AWS partition than region"},
		"a user, not a role":       {edit{"spec.cloudWatch.auth": sts("arn:aws:iam::123456789012:user/audit")}, "such as arn:aws:iam::123456789012:role/audit"},
		"external id nobody needs": {edit{"spec.cloudWatch.auth": map[string]any{"sts": map[string]any{"roleARN": role["roleARN"], "externalID": "some", "serviceAccountName": "other"}}}, "externalID has no effect with serviceAccountName: remove one of them"},
		"role for a minute":        {edit{"spec.cloudWatch.auth": map[string]any{"sts": map[string]any{"roleARN": role["roleARN"], "durationSeconds": int64(60)}}}, "greater than or equal to 900"},
		"unknown operation":        {edit{"spec.rules": rules(map[string]any{"level": "Metadata", "operations": []any{"Patch"}})}, `supported values: "Create", "Update", "Delete", "Connect"`},
		"unknown level":            {edit{"spec.rules": rules(map[string]any{"level": "Request"})}, `supported values: "None", "Metadata", "Changes", "Object"`},
		"unknown actor":            {edit{"spec.rules": rules(map[string]any{"level": "None", "actors": []any{"Robot"}})}, `supported values: "User", "ServiceAccount", "Node", "ControlPlane"`},
		"unknown field":            {edit{"spec.cloudWatch.logGroup": "/audit/prod"}, `unknown field "spec.cloudWatch.logGroup"`},
		"unknown field of a rule":  {edit{"spec.rules": rules(map[string]any{"level": "None", "verbs": []any{"create"}})}, `unknown field "spec.rules[0].verbs"`},
		"unknown type":             {edit{"spec.type": "S3"}, `supported values: "CloudWatch", "ClusterOnly"`},
		"destination of nothing":   {edit{"spec.type": "ClusterOnly"}, "set cloudWatch exactly when type is CloudWatch"},
		"no destination":           {edit{"spec.cloudWatch": nil}, "set cloudWatch exactly when type is CloudWatch"},
		"group of AWS":             {edit{"spec.cloudWatch.logGroupName": "aws/audit"}, "must not start with aws/"},
		"group with a space":       {edit{"spec.cloudWatch.logGroupName": "my audit"}, "letters, digits and . _ / # - only"},
		"group too long":           {edit{"spec.cloudWatch.logGroupName": strings.Repeat("a", 513)}, "may not be more than 512"},
		"stream with a colon":      {edit{"spec.cloudWatch.logStreamName": "a:b"}, "logStreamName must not contain ':' or '*'"},
		"stream with a star":       {edit{"spec.cloudWatch.logStreamName": "a*"}, "logStreamName must not contain ':' or '*'"},
		"odd retention":            {edit{"spec.cloudWatch.retentionInDays": int64(100)}, `supported values: "1", "3", "5", "7", "14", "30"`},
		"alias of a key":           {edit{"spec.cloudWatch.kmsKeyARN": "arn:aws:kms:eu-west-1:123456789012:alias/audit"}, "kmsKeyARN must be the ARN of a KMS key and not of an alias"},
		"id of a key":              {edit{"spec.cloudWatch.kmsKeyARN": "1234abcd-12ab-34cd-56ef-1234567890ab"}, "kmsKeyARN must be the ARN of a KMS key"},
		"key of another region":    {edit{"spec.cloudWatch.kmsKeyARN": "arn:aws:kms:eu-west-2:123456789012:key/1234abcd"}, "kmsKeyARN is in another region or AWS partition than region"},
		"key of another partition": {edit{"spec.cloudWatch.kmsKeyARN": "arn:aws-cn:kms:eu-west-1:123456789012:key/1234abcd"}, "kmsKeyARN is in another region or AWS partition than region"},
		"unknown class":            {edit{"spec.cloudWatch.logGroupClass": "INFREQUENT_ACCESS"}, `supported values: "Standard", "InfrequentAccess"`},
		"tag of AWS":               {edit{"spec.cloudWatch.tags": map[string]any{"AWS:cloudformation": "x"}}, "a tag's key must not start with aws:, which AWS keeps to itself"},
		"tag without a key":        {edit{"spec.cloudWatch.tags": map[string]any{"": "x"}}, "a tag's key has 1 to 128 letters"},
		"tag with a long key":      {edit{"spec.cloudWatch.tags": map[string]any{strings.Repeat("k", 129): "x"}}, "a tag's key has 1 to 128 letters"},
		"tag with an odd key":      {edit{"spec.cloudWatch.tags": map[string]any{"a*b": "x"}}, "a tag's key has 1 to 128 letters, digits, spaces and _ . : / = + - @"},
		"tag with an odd value":    {edit{"spec.cloudWatch.tags": map[string]any{"a": "<x>"}}, "a tag's value has up to 256 letters, digits, spaces and _ . : / = + - @"},
		"tag with a long value":    {edit{"spec.cloudWatch.tags": map[string]any{"a": strings.Repeat("v", 257)}}, "may not be more than 256"},
		"more tags than AWS takes": {edit{"spec.cloudWatch.tags": manyTags(51, 2, 1)}, "must have at most 50 items"},
		"no tags in tags":          {edit{"spec.cloudWatch.tags": map[string]any{}}, "should have at least 1 properties"},
		"Secret with a space":      {edit{"spec.cloudWatch.auth.credentials.secretRef.name": "AWS keys"}, "secretRef.name must be the name of a Secret"},
		"key with a space":         {edit{"spec.cloudWatch.auth.credentials.secretRef.accessKeyIDKey": "access key"}, "a key of a Secret has letters, digits, '-', '_' and '.' only"},
		"account that cannot be":   {edit{"spec.cloudWatch.auth": map[string]any{"sts": map[string]any{"roleARN": role["roleARN"], "serviceAccountName": "my_account"}}}, "serviceAccountName must be the name of a service account"},
		"role of a short account":  {edit{"spec.cloudWatch.auth": sts("arn:aws:iam::12345:role/audit")}, "roleARN must be the ARN of an IAM role"},
		"role without a name":      {edit{"spec.cloudWatch.auth": sts("arn:aws:iam::123456789012:role/")}, "roleARN must be the ARN of an IAM role"},
		"group without a name":     {edit{"spec.cloudWatch.logGroupName": ""}, "spec.cloudWatch.logGroupName"},
		"stream too long":          {edit{"spec.cloudWatch.logStreamName": strings.Repeat("a", 506)}, "may not be more than 505"},
		"stream of a ledger":       {edit{"spec.cloudWatch.logStreamName": "cluster-a.ledger"}, "logStreamName must not end in .ledger, which is for the ledgers of trails"},
		"name of a ledger":         {edit{"metadata.name": "shop.ledger"}, "would have the log stream of another trail's ledger: use another name, or set cloudWatch.logStreamName"},
		"delete no stream":         {edit{"spec.type": "ClusterOnly", "spec.cloudWatch": nil, "spec.deletionPolicy": "DeleteStream"}, "deletionPolicy DeleteStream needs type CloudWatch: use Retain"},
		"two ways to namespaces":   {edit{"spec.rules": rules(map[string]any{"level": "None", "namespaces": []any{"a"}, "namespaceSelector": map[string]any{}})}, "set namespaces or namespaceSelector, not both"},
		"a kind for a resource":    {edit{"spec.rules": resources("Deployment")}, "a resource is a lower-case plural name such as deployments"},
		"kind with a group":        {edit{"spec.rules": kinds("deployments.apps")}, "a kind is a singular name such as Deployment"},
		"star in a kind":           {edit{"spec.rules": kinds("virtual*")}, "a kind is a singular name such as Deployment"},
		"star inside a resource":   {edit{"spec.rules": resources("deploy*")}, "a resource is a lower-case plural name such as deployments"},
		"two slashes":              {edit{"spec.rules": resources("a/b/c")}, "a resource is a lower-case plural name such as deployments"},
		"path without a slash":     {edit{"spec.redaction": map[string]any{"paths": []any{"spec.password"}}}, "a redaction path is a JSON Pointer and starts with /"},
		"no rules in rules":        {edit{"spec.rules": []any{}}, "should have at least 1 items"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Create(t.Context(), test.change.apply(t, trail("refused")), client.DryRunAll)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestChangesOfATrail(t *testing.T) {
	g := NewWithT(t)
	c := clientOf(t, env.Admin())
	grantRoles(t, map[string]any{"default": "*"})
	named := edit{"spec.cloudWatch.logStreamName": "one"}.apply(t, trail("changed-named"))
	unnamed := trail("changed-unnamed")
	classed := edit{"spec.cloudWatch.logGroupClass": "InfrequentAccess"}.apply(t, trail("changed-classed"))
	for _, created := range []*unstructured.Unstructured{named, unnamed, classed} {
		g.Expect(c.Create(t.Context(), created)).To(Succeed())
		t.Cleanup(func() { g.Expect(c.Delete(withoutCancel(t), created)).To(Succeed()) })
	}
	for name, test := range map[string]struct {
		from   *unstructured.Unstructured
		change edit
		// want is empty when the change is allowed.
		want string
	}{
		"region":         {named, edit{"spec.cloudWatch.region": "eu-west-2"}, "region is immutable: make a new AuditTrail"},
		"group":          {named, edit{"spec.cloudWatch.logGroupName": "/other"}, "logGroupName is immutable: make a new AuditTrail"},
		"stream":         {named, edit{"spec.cloudWatch.logStreamName": "two"}, "logStreamName is immutable: make a new AuditTrail"},
		"stream removed": {named, edit{"spec.cloudWatch.logStreamName": nil}, "logStreamName is immutable: make a new AuditTrail"},
		"stream added":   {unnamed, edit{"spec.cloudWatch.logStreamName": "one"}, "logStreamName is immutable: make a new AuditTrail"},
		"type":           {named, edit{"spec.type": "ClusterOnly", "spec.cloudWatch": nil}, "type is immutable: make a new AuditTrail"},
		"class added":    {named, edit{"spec.cloudWatch.logGroupClass": "Standard"}, "logGroupClass is immutable"},
		"class removed":  {classed, edit{"spec.cloudWatch.logGroupClass": nil}, "logGroupClass is immutable"},
		"class changed":  {classed, edit{"spec.cloudWatch.logGroupClass": "Standard"}, "make a new AuditTrail with another log group"},
		"key added":      {named, edit{"spec.cloudWatch.kmsKeyARN": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd"}, ""},
		"tags added":     {named, edit{"spec.cloudWatch.tags": map[string]any{"team": "red"}}, ""},
		"keys to a role": {named, edit{"spec.cloudWatch.auth": sts("arn:aws:iam::123456789012:role/audit")}, ""},
		"another Secret": {unnamed, edit{"spec.cloudWatch.auth.credentials.secretRef.name": "rotated"}, ""},
		"suspension":     {unnamed, edit{"spec.suspend": true}, ""},
		"rules":          {unnamed, edit{"spec.rules": rules(map[string]any{"level": "Metadata"})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Update(t.Context(), test.change.apply(t, test.from), client.DryRunAll)
			if test.want == "" {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
				return
			}
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestDefaultsOfATrail(t *testing.T) {
	g := NewWithT(t)
	created := trail("defaults")
	g.Expect(clientOf(t, env.Admin()).Create(t.Context(), created, client.DryRunAll)).To(Succeed())
	g.Expect(created.Object["spec"]).To(Equal(map[string]any{
		"type":           "CloudWatch",
		"deletionPolicy": "Retain",
		"recording":      map[string]any{"durability": "Replicated", "failurePolicy": "Ignore"},
		"retention":      map[string]any{"ttlSeconds": int64(86400), "maxEvents": int64(10000)},
		"cloudWatch": map[string]any{
			"region":                 "eu-west-1",
			"logGroupName":           "/audit/prod",
			"logGroupCreationPolicy": "IfMissing",
			"auth": map[string]any{"credentials": map[string]any{"secretRef": map[string]any{
				"name":               "aws",
				"accessKeyIDKey":     "AWS_ACCESS_KEY_ID",
				"secretAccessKeyKey": "AWS_SECRET_ACCESS_KEY",
				"sessionTokenKey":    "AWS_SESSION_TOKEN",
			}}},
		},
	}))
}
