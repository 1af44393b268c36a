package install

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	resourcePolicy = "helm.sh/resource-policy"
	hook           = "helm.sh/hook"
)

// byName are objects by their kind and name, without what only Helm reads.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	named := map[string]map[string]any{}
	for _, object := range objects {
		annotations := object.GetAnnotations()
		if annotations[hook] != "" {
			continue // It is there while the release is uninstalled.
		}
		delete(annotations, resourcePolicy)
		if len(annotations) == 0 {
			annotations = nil
		}
		object.SetAnnotations(annotations)
		key := strings.Join([]string{object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()}, " ")
		NewWithT(t).Expect(named).NotTo(HaveKey(key), "it is there twice")
		named[key] = object.Object
	}
	return named
}

func TestTheChartInstallsWhatKustomizeDoes(t *testing.T) {
	g := NewWithT(t)
	objects, err := env.Render(t.Context(), "config/default")
	g.Expect(err).NotTo(HaveOccurred())
	want, got := byName(t, objects), byName(t, render(t, "--set=namespace.create=true"))
	for name, object := range want {
		g.Expect(got).To(HaveKeyWithValue(name, object), "the chart has another %s: run `make chart`, and compare its templates", name)
	}
	for name := range got {
		g.Expect(want).To(HaveKey(name), "config/default lacks it")
	}
}

func TestTheChartMonitorsAsKustomizeDoes(t *testing.T) {
	g := NewWithT(t)
	got := byName(t, render(t, "--set=monitoring.enabled=true,dashboard.enabled=true"))
	for _, folder := range []string{"config/prometheus", "config/grafana"} {
		objects, err := env.Render(t.Context(), folder)
		g.Expect(err).NotTo(HaveOccurred())
		for name, object := range byName(t, objects) {
			g.Expect(got).To(HaveKeyWithValue(name, object))
		}
	}
}

func TestTheChartIsForAnyNamespace(t *testing.T) {
	g := NewWithT(t)
	text, err := helm(t, "template", release, "charts/trailkeeper", "--namespace=audit",
		"--set=monitoring.enabled=true,dashboard.enabled=true,namespace.create=true")
	g.Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(text) {
		g.Expect(line).NotTo(ContainSubstring("trailkeeper-system"))
	}
	g.Expect(text).To(ContainSubstring("system:serviceaccount:audit:trailkeeper-manager"))
}

func TestWhatHelmKeeps(t *testing.T) {
	kept := map[string]bool{}
	for _, object := range render(t, "--set=namespace.create=true") {
		if object.GetAnnotations()[resourcePolicy] == "keep" {
			kept[object.GetKind()+" "+object.GetName()] = true
		}
	}
	NewWithT(t).Expect(kept).To(Equal(map[string]bool{
		"CustomResourceDefinition auditeventchunks.audit.trailkeeper.dev": true,
		"CustomResourceDefinition auditevents.audit.trailkeeper.dev":      true,
		"CustomResourceDefinition audittrails.audit.trailkeeper.dev":      true,
		"ConfigMap trailkeeper-role-grants":                               true,
		"Namespace trailkeeper-system":                                    true,
	}))
}

func TestTheChartLints(t *testing.T) {
	text, err := helm(t, "lint", "--strict", "charts/trailkeeper")
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), text)
}

// Each value is refused by the schema, before anything reaches a cluster.
func TestValuesThatCannotBe(t *testing.T) {
	for _, value := range []string{
		"replicas=0", "replicas=17", "replicas=two", "image.repository=", "image.tag=a b", "image.digest=sha256:short",
		"image.pullPolicy=Sometimes", "imagePullSecrets[0].nam=x", "clusterID=a/b", "extraArgs[0]=leader-elect",
		"extraEnv[0].value=x", "serviceAccount.annotation.a=b", "goMemoryLimit=448MB", "podLabels.a=b c", "spill.sizeLimit=much",
		"roleGrants.shop[0]=shop-audit", "roleGrants.Shop[0]=*", "networkPolicy.apiServerCIDRs[0]=10.0.0.1",
		"podDisruptionBudget.enable=true", "crds.enabled=perhaps", "namespace.create=1", "monitoring.on=true", "dashboard.enabled=yes please", "uninstallHook.on=true", "replica=2",
	} {
		t.Run(value, func(t *testing.T) {
			_, err := helm(t, "template", release, "charts/trailkeeper", "--set="+value)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring("values don't meet the specifications of the schema")))
		})
	}
}

func TestValuesReachTheManifests(t *testing.T) {
	g := NewWithT(t)
	objects := render(t, "--set=replicas=3,image.repository=registry.example/tk,image.tag=1.2.3,clusterID=prod",
		"--set=extraArgs[0]=--delivery-shards=16,extraEnv[0].name=AWS_ENDPOINT_URL,extraEnv[0].value=http://aws",
		"--set=networkPolicy.apiServerCIDRs[0]=10.0.0.1/32,priorityClassName=high,podLabels.team=a,podAnnotations.why=b",
		`--set=serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn,imagePullSecrets[0].name=pull,goMemoryLimit=1GiB`,
		"--set=roleGrants.shop[0]=arn:aws:iam::123456789012:role/a,roleGrants.shop[1]=arn:aws:iam::123456789012:role/b/*")
	deployment := find(t, objects, "Deployment", "trailkeeper-manager")
	replicas, _, _ := unstructured.NestedFieldNoCopy(deployment.Object, "spec", "replicas")
	g.Expect(replicas).To(BeNumerically("==", 3))
	pod, _, _ := unstructured.NestedMap(deployment.Object, "spec", "template")
	g.Expect(pod).To(HaveKeyWithValue("metadata", And(
		HaveKeyWithValue("labels", HaveKeyWithValue("team", "a")), HaveKeyWithValue("annotations", HaveKeyWithValue("why", "b")))))
	containers, _, _ := unstructured.NestedSlice(pod, "spec", "containers")
	g.Expect(containers).To(ConsistOf(And(
		HaveKeyWithValue("image", "registry.example/tk:1.2.3"),
		HaveKeyWithValue("args", ContainElements("--cluster-id=prod", "--delivery-shards=16")),
		HaveKeyWithValue("env", ContainElements(
			map[string]any{"name": "AWS_ENDPOINT_URL", "value": "http://aws"}, map[string]any{"name": "GOMEMLIMIT", "value": "1GiB"})),
	)))
	g.Expect(pod["spec"]).To(And(HaveKeyWithValue("priorityClassName", "high"),
		HaveKeyWithValue("imagePullSecrets", ConsistOf(map[string]any{"name": "pull"}))))
	account := find(t, objects, "ServiceAccount", "trailkeeper-manager")
	g.Expect(account.GetAnnotations()).To(HaveKeyWithValue("eks.amazonaws.com/role-arn", "arn"))
	grants := find(t, objects, "ConfigMap", "trailkeeper-role-grants")
	g.Expect(grants.Object["data"]).To(HaveKeyWithValue("shop",
		"arn:aws:iam::123456789012:role/a\narn:aws:iam::123456789012:role/b/*\n"))
	policy := find(t, objects, "NetworkPolicy", "trailkeeper-manager")
	ingress, _, _ := unstructured.NestedSlice(policy.Object, "spec", "ingress")
	g.Expect(ingress[0]).To(HaveKeyWithValue("from", ConsistOf(map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.1/32"}})))
	for _, object := range objects {
		g.Expect(object.GetKind()).NotTo(Equal("ResourceQuota"), "it is for critical pods")
	}
}
