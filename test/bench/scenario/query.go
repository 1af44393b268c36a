package scenario

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

const (
	// queryDays is how many days the events are spread over of which a question asks for one.
	queryDays = 10
	// questions is how often it is asked, each time for another day.
	questions = 200
	// settling is how long the operator may take for what it does after a start: it counts the events that there are.
	settling = 20 * time.Second
)

// asking is somebody who asks the query API.
type asking struct {
	client *http.Client
	url    string
	token  string
}

// queried measures the query API, over as many events as a backlog has.
func queried(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	apart := queryDays * 24 * time.Hour / time.Duration(size.Backlog)
	if _, err := rig.suspendedBacklog(ctx, queryNamespace, size.Objects, size.Backlog, apart); err != nil {
		return err
	}
	if err := rig.restartManager(ctx); err != nil {
		return err
	}
	somebody, err := rig.reader(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settling):
	}
	if err := somebody.asksForDays(ctx, size, into); err != nil {
		return err
	}
	if err := rig.exports(ctx, somebody, size, into); err != nil {
		return err
	}
	return rig.listed(ctx, queryNamespace, size, into)
}

// reader is somebody who may read the namespace's events.
func (r *Rig) reader(ctx context.Context) (*asking, error) {
	config, err := r.env.ServiceAccountConfig(ctx, queryNamespace, "reader")
	if err != nil {
		return nil, err
	}
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: queryNamespace, Name: "reader"}
	rule := rbacv1.PolicyRule{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"auditevents"}, Verbs: []string{"get", "list"}}
	if err := testenv.Create(ctx, r.admin, testenv.Rights(queryNamespace, "reader", subject, rule)...); err != nil {
		return nil, err
	}
	return &asking{
		// That the certificate is right is not what is measured.
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, //nolint:gosec // See above.
		url:    r.manager.APIURL, token: config.BearerToken,
	}, nil
}

// asksForDays asks for the first page of one day, newest first.
func (a *asking) asksForDays(ctx context.Context, size Size, into *report.Report) error {
	var took []time.Duration
	now := time.Now()
	for n := range questions {
		end := now.Add(-time.Duration(n%(queryDays-1)) * 24 * time.Hour).Add(-time.Duration(n) * time.Second)
		began := time.Now()
		lines, err := a.ask(ctx, "/v1/audits", url.Values{"startTime": {end.Add(-24 * time.Hour).Format(time.RFC3339)}, "endTime": {end.Format(time.RFC3339)}})
		if err != nil {
			return err
		}
		took = append(took, time.Since(began))
		if lines == 0 {
			return fmt.Errorf("nothing was found of the day before %s", end)
		}
	}
	slices.Sort(took)
	asked := load.Result{Latencies: took}
	p99 := asked.Milliseconds(0.99)
	into.Add("query.first_page_p99_ms", p99, "ms", report.AtMost(150))
	row := remark("query, first page of a day", fmt.Sprintf("%d events in %d days", size.Backlog, queryDays), "")
	row.P50, row.P99 = asked.Milliseconds(0.5), p99
	into.AddRow(row)
	return nil
}

// exports reads everything as CSV.
func (r *Rig) exports(ctx context.Context, somebody *asking, size Size, into *report.Report) error {
	before, err := r.usage()
	if err != nil {
		return err
	}
	began := time.Now()
	rows, err := somebody.ask(ctx, "/v1/audits.csv", url.Values{})
	if err != nil {
		return err
	}
	took := time.Since(began)
	if rows <= size.Backlog { // The trail has notices too.
		return fmt.Errorf("the export has %d lines, and there are %d events", rows, size.Backlog)
	}
	after, err := r.usage()
	if err != nil {
		return err
	}
	into.Add("csv.rows_per_s", float64(size.Backlog)/took.Seconds(), "rows/s", report.AtLeast(20_000))
	into.Add("csv.rss_mb", megabytes(after.PeakRSS-before.RSS), "MB above what it had before", report.AtMost(64))
	into.AddRow(remark("export as CSV", fmt.Sprintf("%d events", size.Backlog),
		fmt.Sprintf("after %.1f s, CPU %.1f s of the manager", took.Seconds(), (after.CPU-before.CPU).Seconds())))
	return nil
}

// ask counts the lines of an answer.
func (a *asking) ask(ctx context.Context, path string, parameters url.Values) (lines int, err error) {
	parameters.Set("projectUid", queryNamespace)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path+"?"+parameters.Encode(), http.NoBody)
	if err != nil {
		return 0, fmt.Errorf("asking the query API: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := a.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("asking the query API: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("asking the query API: %s", response.Status)
	}
	read := bufio.NewScanner(response.Body)
	read.Buffer(nil, 16<<20)
	for read.Scan() {
		lines++
	}
	return lines, read.Err()
}
