package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/awsauth"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
	"github.com/trailkeeper/trailkeeper/internal/cloudwatch"
	"github.com/trailkeeper/trailkeeper/internal/query/archive"
	"github.com/trailkeeper/trailkeeper/internal/query/httpapi"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

const (
	attic = "attic"
	// pushed is how many events the attic's trail pushed, an hour apart, and left how many of them the cluster still has.
	pushed, left = 30, 5
)

var sixActions = []string{
	"logs:DescribeLogGroups", "logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DeleteLogStream", "logs:DescribeLogStreams",
}

func keyOf(actions ...string) cloudsim.User {
	return cloudsim.User{Name: "attic", AccessKeyID: "AKIAATTIC00000000000", SecretAccessKey: "the-attics-secret", Policy: cloudsim.Allow(actions...)}
}

// rooms is the attic: its trail, in a simulated AWS account, and an API that reads there.
type rooms struct {
	*world
	aws    *cloudsim.Simulator
	trail  *v1alpha1.AuditTrail
	names  []string
	viewer string
}

// testArchive: what the cluster has no longer comes from the trail's log group, with the trail's own identity, if that may read there
// and whoever asks may read the trail's events.
func (w *world) testArchive() {
	r := &rooms{world: w, aws: cloudsim.New(cloudsim.Options{Users: []cloudsim.User{keyOf(append(sixActions, "logs:FilterLogEvents")...)}})}
	server := httptest.NewServer(r.aws)
	w.t.Cleanup(server.Close)
	for _, variable := range testenv.AWSEnv(server.URL, "", "") {
		name, value, _ := strings.Cut(variable, "=")
		w.t.Setenv(name, value)
	}
	r.furnish()
	before := w.server
	defer func() { w.server = before }()
	r.viewer = w.token("attic-viewer", "trailkeeper-viewer", attic)
	r.serve()
	r.findsAll()
	r.findsOne()
	r.staysShut()
	r.aws.PutUser(keyOf(sixActions...))
	r.tellsWhatIsMissing()
}

// furnish makes the trail, has it push events, and leaves the last of them in the cluster.
func (r *rooms) furnish() {
	g := NewWithT(r.t)
	r.trail = &v1alpha1.AuditTrail{
		ObjectMeta: metav1.ObjectMeta{Namespace: attic, Name: "old"},
		Spec: v1alpha1.AuditTrailSpec{Type: v1alpha1.TrailTypeCloudWatch, CloudWatch: &v1alpha1.CloudWatchDestination{
			Region: "eu-west-1", LogGroupName: "/audit/attic",
			Auth: v1alpha1.Auth{Credentials: &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "aws"}}},
		}},
	}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: attic}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: attic, Name: "aws"}, StringData: map[string]string{
			"AWS_ACCESS_KEY_ID": keyOf().AccessKeyID, "AWS_SECRET_ACCESS_KEY": keyOf().SecretAccessKey,
		}},
	}
	objects = append(objects, testenv.Rights(attic, "aws", testenv.OperatorSubject(), testenv.Core("secrets", []string{"aws"}, "get"))...)
	g.Expect(testenv.Create(r.t.Context(), r.admin, append(objects, r.trail)...)).To(Succeed())
	unchanged := client.MergeFrom(r.trail.DeepCopy())
	r.trail.Status.LogStreamName = "cluster-a/attic/old"
	g.Expect(r.operator.Status().Patch(r.t.Context(), r.trail, unchanged)).To(Succeed())
	r.trails[attic] = r.trail

	stream, err := r.opener().Open(r.t.Context(), r.trail)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = stream.Ensure(r.t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	for n := range pushed {
		event := r.event(n)
		r.names = append(r.names, event.Name)
		message, err := json.Marshal(map[string]any{"event": event, "outcome": v1alpha1.OutcomePersisted})
		g.Expect(err).NotTo(HaveOccurred())
		put, err := stream.Put(r.t.Context(), []cloudwatch.Record{{Time: event.Spec.Time.UnixMilli(), Message: message}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(put.Accepted).To(Equal(1))
		if n >= pushed-left {
			g.Expect(r.operator.Create(r.t.Context(), event)).To(Succeed())
		}
	}
}

func (r *rooms) opener() *cloudwatch.Opener {
	return cloudwatch.NewOpener(awsauth.New(awsauth.Options{
		Reader: r.operator, Grants: r.operator, Tokens: r.operator, OperatorNamespace: testenv.OperatorNamespace,
		ServiceAccount: testenv.OperatorServiceAccount, ClusterID: "cluster-a",
	}), "cluster-a")
}

// event is the nth, of which the last is two hours old.
func (r *rooms) event(n int) *v1alpha1.AuditEvent {
	at := time.Now().Add(time.Duration(n-pushed-1) * time.Hour).Truncate(time.Millisecond)
	id := ulid.MustNew(ulid.Timestamp(at), ulid.DefaultEntropy())
	return &v1alpha1.AuditEvent{
		ObjectMeta: metav1.ObjectMeta{Namespace: attic, Name: strings.ToLower(id.String())},
		Spec: v1alpha1.AuditEventSpec{
			ID: fmt.Sprint("attic-", n), Time: metav1.NewMicroTime(at), Action: v1alpha1.ActionUpdate, Level: v1alpha1.LevelMetadata,
			TrailRef: v1alpha1.TrailReference{Namespace: attic, Name: "old", UID: string(r.trail.UID)},
			Actor:    v1alpha1.Actor{Type: v1alpha1.ActorUser, Username: "alice"},
			Resource: v1alpha1.ResourceReference{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespace: attic, Name: fmt.Sprint("box-", n%3)},
			Request:  &v1alpha1.RequestInfo{UID: "request"},
		},
	}
}

// serve puts an API that reads log groups in the place of the one that does not.
func (r *rooms) serve() {
	config, err := env.ServiceAccountConfig(r.t.Context(), testenv.OperatorNamespace, testenv.OperatorServiceAccount)
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred())
	opener := r.opener()
	handler, err := httpapi.New(httpapi.Options{
		Config: config, Trails: r.operator, Chunks: r.operator, Namespace: testenv.OperatorNamespace, ClusterID: "cluster-a",
		Archive: func(ctx context.Context, trail *v1alpha1.AuditTrail) (archive.Reader, error) {
			return opener.OpenArchive(ctx, trail)
		},
	})
	NewWithT(r.t).Expect(err).NotTo(HaveOccurred())
	r.server = httptest.NewTLSServer(handler)
	r.t.Cleanup(r.server.Close)
}

func (r *rooms) since(ago time.Duration) string {
	return "projectUid=" + attic + "&startTime=" + url.QueryEscape(time.Now().Add(-ago).Format(time.RFC3339))
}

func (r *rooms) findsAll() {
	g := NewWithT(r.t)
	newest := slices.Clone(r.names)
	slices.Reverse(newest)
	for order, want := range map[string][]string{"oldest": r.names, "newest": newest} {
		for _, limit := range []int{7, 100} {
			names, sources := r.readAll(order, limit)
			g.Expect(names).To(Equal(want), order)
			g.Expect(sources).To(Equal(map[string]int{"Cluster": left, "LogGroup": pushed - left}), order)
		}
		// Pages by number begin on either side of the border between the two.
		for _, offset := range []int{3, left, pushed - left - 2, pushed - left, pushed - 1} {
			page := r.list(r.viewer, fmt.Sprintf("%s&order=%s&limit=4&offset=%d", r.since(1000*time.Hour), order, offset))
			g.Expect(namesOf(page)).To(Equal(want[offset:min(offset+4, pushed)]), "%s, from %d on", order, offset)
		}
	}
	lines := strings.Split(strings.TrimSpace(string(r.ask(http.MethodGet, "/v1/audits.csv?"+r.since(1000*time.Hour), r.viewer, "").body)), "\r\n")
	g.Expect(lines).To(HaveLen(1 + pushed))
	for n, name := range r.names {
		g.Expect(lines[1+n]).To(HaveSuffix(name))
	}
	// Part of the time, and part of what happened.
	g.Expect(r.list(r.viewer, r.since(21*time.Hour+30*time.Minute)).Items).To(HaveLen(20))
	g.Expect(r.list(r.viewer, r.since(1000*time.Hour)+"&resourceName=box-1").Items).To(HaveLen(10))
	calls := r.aws.Calls("FilterLogEvents")
	g.Expect(r.list(r.viewer, "projectUid="+attic).Items).To(HaveLen(left), "nobody asked for what is older")
	g.Expect(r.list(r.viewer, r.since(3*time.Hour+30*time.Minute)).Items).To(HaveLen(2), "the cluster has all of it")
	g.Expect(r.aws.Calls("FilterLogEvents")).To(Equal(calls))
}

// readAll reads page by page, and counts where the events came from.
func (r *rooms) readAll(order string, limit int) (names []string, sources map[string]int) {
	sources = map[string]int{}
	for more := ""; ; {
		list := r.list(r.viewer, fmt.Sprintf("%s&order=%s&limit=%d&continue=%s", r.since(1000*time.Hour), order, limit, more))
		NewWithT(r.t).Expect(list.ListMeta.CompleteSince).To(BeZero())
		names = append(names, namesOf(list)...)
		for _, item := range list.Items {
			sources[item.Metadata.Annotations["audit.trailkeeper.dev/source"]]++
		}
		if more = list.ListMeta.Continue; more == "" {
			return names, sources
		}
	}
}

func namesOf(list audits) []string {
	names := make([]string, len(list.Items))
	for i := range list.Items {
		names[i] = list.Items[i].Metadata.Name
	}
	return names
}

func (r *rooms) findsOne() {
	g := NewWithT(r.t)
	one := "/v1/audits/" + r.names[3]
	answer := r.ask(http.MethodGet, one+"?projectUid="+attic, r.viewer, "")
	g.Expect(answer.status).To(Equal(http.StatusOK), "%s", answer.body)
	g.Expect(string(answer.body)).To(ContainSubstring(`"LogGroup"`))
	answer = r.ask(http.MethodGet, one+"/sysMsg?projectUid="+attic, r.viewer, "")
	g.Expect(answer.status).To(Equal(http.StatusOK), "%s", answer.body)
	answer = r.ask(http.MethodPatch, one+"/userMsg?projectUid="+attic, r.viewer, `{"userMsg": "because"}`)
	g.Expect(answer.status).To(Equal(http.StatusConflict), "%s", answer.body)
}

// staysShut: nothing is read for somebody who may not read the trail's events, though the operator could.
func (r *rooms) staysShut() {
	g := NewWithT(r.t)
	stranger := r.token("attic-stranger", "trailkeeper-viewer", depot)
	calls := r.aws.Counts("").Calls
	for _, path := range []string{"/v1/audits?" + r.since(1000*time.Hour), "/v1/audits.csv?" + r.since(1000*time.Hour), "/v1/audits/" + r.names[3] + "?projectUid=" + attic} {
		answer := r.ask(http.MethodGet, path, stranger, "")
		g.Expect(answer.status).To(Equal(http.StatusForbidden), "%s: %s", path, answer.body)
	}
	g.Expect(r.list(stranger, "projectUid="+depot+"&startTime=2023-01-01T00:00:00Z").Items).NotTo(BeEmpty())
	g.Expect(r.aws.Counts("").Calls).To(Equal(calls), "nobody asked AWS")
}

// tellsWhatIsMissing when the trail's identity has no more than it needs.
func (r *rooms) tellsWhatIsMissing() {
	g := NewWithT(r.t)
	var oldest v1alpha1.AuditEvent
	g.Expect(r.admin.Get(r.t.Context(), client.ObjectKey{Namespace: attic, Name: r.names[pushed-left]}, &oldest)).To(Succeed())
	list := r.list(r.viewer, r.since(1000*time.Hour))
	g.Expect(list.Items).To(HaveLen(left))
	g.Expect(list.ListMeta.CompleteSince).To(BeTemporally("==", oldest.Spec.Time.Time))
	answer := r.ask(http.MethodGet, "/v1/audits/"+r.names[3]+"?projectUid="+attic, r.viewer, "")
	g.Expect(answer.status).To(Equal(http.StatusNotFound))
	g.Expect(string(answer.body)).To(ContainSubstring("could not be read"))
	answer = r.ask(http.MethodGet, "/v1alpha1/events?"+r.since(1000*time.Hour), r.viewer, "")
	g.Expect(string(answer.body)).To(ContainSubstring(`"completeSince":"`))
	answer = r.ask(http.MethodGet, "/v1/audits.csv?"+r.since(1000*time.Hour), r.viewer, "")
	g.Expect(answer.status).To(Equal(http.StatusOK))
	g.Expect(answer.header.Get("Trailkeeper-Complete-Since")).To(Equal(oldest.Spec.Time.UTC().Format(time.RFC3339)))
	g.Expect(string(answer.body)).NotTo(ContainSubstring(os.Getenv("AWS_ENDPOINT_URL")))
}
