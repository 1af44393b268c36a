package trails

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/cloudsim"
)

// TestNothingSecretIsSeen drives every way to prove an identity, in success and in failure, with an operator that logs all
// that it can, and looks for what was secret in every place where it might have gone.
func TestNothingSecretIsSeen(t *testing.T) {
	g := NewWithT(t)
	temporary := cloudsim.User{
		AccessKeyID: "ASIALEAK000000000001", SecretAccessKey: "secret/of/a+temporary/key/0000000000001",
	}
	const sessionToken = "IQoJb3JpZ2luX2VjE-a-known-session-token-that-nobody-may-see"
	user := newUser("leak-keys", 1)
	secrets := map[string]string{
		user.SecretAccessKey: "a trail's secret key", temporary.SecretAccessKey: "a temporary secret key", sessionToken: "a session token",
		own.SecretAccessKey: "the operator's secret key", operatorConfig.BearerToken: "the operator's token",
	}
	leakByKeys(t, user, temporary, sessionToken)
	leakByRole(t, "leak-token", byToken("leak-token"))
	grant(t, "leak-role", "*")
	leakByRole(t, "leak-role", byRole("leak-role"))

	g.Expect(wire.kinds()).To(And(HaveKey("the token of a service account"), HaveKey("a SecretAccessKey of STS"), HaveKey("a SessionToken of STS")))
	for secret, what := range wire.known() {
		secrets[secret] = what
	}
	places := placesToLook(t)
	g.Expect(places["the log"]).To(MatchRegexp(`"level":"(Level\(-[5-9]\)|debug)"`), "the log must have what it has at the highest verbosity")
	for place, content := range places {
		g.Expect(content).NotTo(BeEmpty(), place)
		for secret, what := range secrets {
			for _, form := range forms(secret) {
				if at := strings.Index(content, form); at >= 0 {
					t.Errorf("%s is in %s, after: %s", what, place, content[max(0, at-1500):at])
				}
			}
		}
	}
}

// leakByKeys has a trail fail in each way in which keys can be wrong, and work.
func leakByKeys(t *testing.T, user, temporary cloudsim.User, sessionToken string) {
	t.Helper()
	const namespace = "leak-keys"
	newNamespace(t, namespace)
	allow(t, namespace, "secrets", secretName, "get", "list", "watch")
	putSecret(t, namespace, keys(user))
	trail := newTrail(namespace, byKeys())
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)

	fails := func(data map[string]string, reason string) {
		t.Helper()
		putSecret(t, namespace, data)
		expect(t, trail, credentialsValid, isFalse, reason)
	}
	fails(map[string]string{"AWS_ACCESS_KEY_ID": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": temporary.SecretAccessKey}, v1alpha1.ReasonSignatureMismatch)
	fails(map[string]string{"aws_access_key_id": user.AccessKeyID, "AWS_SECRET_ACCESS_KEY": user.SecretAccessKey}, v1alpha1.ReasonSecretKeyMissing)
	fails(keys(temporary), v1alpha1.ReasonSessionTokenMissing)
	withToken := keys(temporary)
	withToken["AWS_SESSION_TOKEN"] = sessionToken
	fails(withToken, v1alpha1.ReasonInvalidAccessKey)
	change(t, namespace, "held-")
	expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonInvalidAccessKey)

	putSecret(t, namespace, keys(user))
	expectReady(t, trail)
	for _, fault := range []cloudsim.Fault{
		{Action: "PutLogEvents", Effect: cloudsim.Fail, Code: "AccessDeniedException", Times: 2},
		{Action: "PutLogEvents", Effect: cloudsim.Fail, Status: http.StatusBadGateway, Times: 1}, // A proxy's page of HTML.
		{Action: "PutLogEvents", Effect: cloudsim.Fail, Code: "ExpiredTokenException", Times: 1},
		{Action: "PutLogEvents", Effect: cloudsim.Reset, Times: 1},
	} {
		fault.Group = trail.Spec.CloudWatch.LogGroupName
		aws.Inject(fault)
	}
	expectDelivered(t, trail, namespace)
}

// leakByRole has a trail with a role work, lose its session, be refused, and work again.
func leakByRole(t *testing.T, namespace string, auth v1alpha1.Auth) {
	t.Helper()
	g := NewWithT(t)
	newNamespace(t, namespace)
	g.Expect(admin.Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: accountName},
	})).To(Succeed())
	allow(t, namespace, "serviceaccounts/token", accountName, "create")
	trail := newTrail(namespace, auth)
	startTrail(t, trail, namespace)
	expectDelivered(t, trail, namespace)

	action := "AssumeRole"
	if auth.STS.ServiceAccountName != "" {
		action = "AssumeRoleWithWebIdentity"
	}
	aws.Inject(cloudsim.Fault{Action: action, Effect: cloudsim.Unavailable, Times: 1})
	remove := aws.Inject(cloudsim.Fault{Action: action, Effect: cloudsim.Fail, Code: "AccessDenied", Status: http.StatusForbidden})
	aws.ExpireSessions()
	change(t, namespace, "held-")
	expect(t, trail, v1alpha1.DeliveringCondition, isFalse, v1alpha1.ReasonRoleNotAssumable)
	remove()
	expectDelivered(t, trail, namespace)
	expectReady(t, trail)
}

// placesToLook are all the places where a secret might have gone. Secrets themselves are not among them.
func placesToLook(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	places := map[string]string{}
	log, err := os.ReadFile(operator.LogPath())
	g.Expect(err).NotTo(HaveOccurred())
	places["the log"] = string(log)
	for name, list := range map[string]client.ObjectList{
		"AuditTrails": &v1alpha1.AuditTrailList{}, "AuditEvents": &v1alpha1.AuditEventList{}, "Events": &eventsv1.EventList{},
		"ConfigMaps": &corev1.ConfigMapList{},
	} {
		g.Expect(admin.List(t.Context(), list)).To(Succeed())
		content, err := json.Marshal(list)
		g.Expect(err).NotTo(HaveOccurred())
		places[name] = string(content)
	}
	response, err := http.Get(operator.MetricsURL) //nolint:noctx // A server of the test's own.
	g.Expect(err).NotTo(HaveOccurred())
	metrics, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(response.Body.Close()).To(Succeed())
	places["the metrics"] = string(metrics)
	for _, group := range []string{"leak-keys", "leak-token", "leak-role"} {
		for _, event := range aws.Events(region, "/audit/"+group, clusterID+"/"+group+"/"+trailName) {
			places["the records of "+group] += event.Message
		}
	}
	return places
}

// forms are the ways in which a secret may be written: as it is, with its slashes and signs escaped, as a list of bytes, and
// as base64, whatever comes before and after it.
func forms(secret string) []string {
	escaped, _ := json.Marshal(secret) // A string.
	numbers := make([]string, 0, len(secret))
	for _, b := range []byte(secret) {
		numbers = append(numbers, strconv.Itoa(int(b)))
	}
	found := []string{
		secret, strings.Trim(string(escaped), `"`), strings.ReplaceAll(secret, "/", `\/`),
		strings.Join(numbers, ","), strings.Join(numbers, " "),
	}
	for before := range 3 {
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			encoded := encoding.EncodeToString([]byte(strings.Repeat("x", before) + secret))
			// What is encoded together with its neighbours is left out.
			found = append(found, encoded[4*((before+2)/3):len(encoded)-2])
		}
	}
	return found
}

func TestForms(t *testing.T) {
	const secret = "hunter2/hunter+2"
	for _, before := range []string{"", "a", "ab", "abc"} {
		for _, after := range []string{"", "a", "ab", "abc"} {
			content := base64.StdEncoding.EncodeToString([]byte(before + secret + after))
			found := false
			for _, form := range forms(secret) {
				found = found || strings.Contains(content, form)
			}
			NewWithT(t).Expect(found).To(BeTrue(), "%q %q", before, after)
		}
	}
}
