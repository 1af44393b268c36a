package api_test

import (
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
		"stream with odd letters":   {"spec.cloudWatch.logStreamName": "cluster a/[$LATEST] ü"},
		"retention of a year":       {"spec.cloudWatch.retentionInDays": int64(365)},
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
	for _, created := range []*unstructured.Unstructured{named, unnamed} {
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
