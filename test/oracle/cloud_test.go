package oracle

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

var cloudUser = cloudsim.User{
	Name: "trail", AccessKeyID: "AKIAORACLEORACLEORAC", SecretAccessKey: "oracle",
	Policy: cloudsim.Allow("logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents",
		"logs:PutRetentionPolicy", "logs:DescribeLogStreams"),
}

// startCloud starts a simulator of CloudWatch Logs, and returns what the operator needs to find it.
func (w *world) startCloud() []string {
	w.t.Helper()
	w.cloud = cloudsim.New(cloudsim.Options{Users: []cloudsim.User{cloudUser}, Discard: true})
	url, stop, err := w.cloud.Start(w.t.Context(), "127.0.0.1:0")
	NewWithT(w.t).Expect(err).NotTo(HaveOccurred())
	w.t.Cleanup(stop)
	return []string{"AWS_ENDPOINT_URL=" + url, "AWS_EC2_METADATA_DISABLED=true"}
}

// pushToCloud has a trail push, and lets the operator read its keys.
func (w *world) pushToCloud(trail *v1alpha1.AuditTrail) {
	w.t.Helper()
	object := metav1.ObjectMeta{Namespace: trail.Namespace, Name: "aws"}
	w.create(&corev1.Secret{ObjectMeta: object, StringData: map[string]string{
		"AWS_ACCESS_KEY_ID": cloudUser.AccessKeyID, "AWS_SECRET_ACCESS_KEY": cloudUser.SecretAccessKey,
	}})
	w.create(&rbacv1.Role{ObjectMeta: object, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}, ResourceNames: []string{object.Name}},
	}})
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: object, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: object.Name},
		Subjects: []rbacv1.Subject{{
			Kind: rbacv1.ServiceAccountKind, Namespace: testenv.OperatorNamespace, Name: testenv.OperatorServiceAccount,
		}},
	})
	trail.Spec.Type = v1alpha1.TrailTypeCloudWatch
	trail.Spec.CloudWatch = &v1alpha1.CloudWatchDestination{Region: "eu-west-1", LogGroupName: "/audit/oracle", Auth: v1alpha1.Auth{
		Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: object.Name}},
	}}
}

// TestOracleCloudWatchAway: what became of changes is known although their records could not be pushed for a while.
func TestOracleCloudWatchAway(t *testing.T) {
	inTheLongForm(t)
	w := newWorld(t, options{replicas: 2, policy: v1alpha1.FailurePolicyIgnore, cloud: true})
	w.workThrough(2*faulty, func(ctx context.Context) error {
		back := w.cloud.Inject(cloudsim.Fault{Effect: cloudsim.Unavailable})
		pause(ctx, 45*time.Second)
		back()
		return nil
	})
	w.expectTruth()
}
