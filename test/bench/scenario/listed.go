package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// listed measures how fast somebody who does nothing with them can read the AuditEvents of a namespace, in the export's pages: no
// export that reads them from the API server can be faster.
func (r *Rig) listed(ctx context.Context, namespace string, size Size, into *report.Report) error {
	client, err := rest.HTTPClientFor(r.env.Admin())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	base := r.env.Admin().Host + "/apis/" + v1alpha1.GroupVersion.String() + "/namespaces/" + namespace + "/auditevents?limit=1000&continue="
	began, rows := time.Now(), 0
	for token := ""; ; {
		page, next, err := listPage(ctx, client, base+url.QueryEscape(token))
		if err != nil {
			return err
		}
		rows += page
		if token = next; token == "" {
			break
		}
	}
	if rows < size.Backlog {
		return fmt.Errorf("%d events were listed, and there are %d", rows, size.Backlog)
	}
	into.Add("csv.floor_rows_per_s", float64(rows)/time.Since(began).Seconds(), "rows/s", report.Target{})
	return nil
}

// listPage reads one page, and says how many events it has and where the next one begins. What a list says of itself is its last member.
func listPage(ctx context.Context, client *http.Client, address string) (events int, next string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, "", fmt.Errorf("listing AuditEvents: %w", err)
	}
	request.Header.Set("Accept-Encoding", "identity") // As the query API asks.
	response, err := client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("listing AuditEvents: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", fmt.Errorf("listing AuditEvents: %w", err)
	}
	const meta = `"metadata":`
	last := bytes.LastIndex(body, []byte(meta))
	if response.StatusCode != http.StatusOK || last < 0 {
		return 0, "", fmt.Errorf("listing AuditEvents: %s: %.500s", response.Status, body)
	}
	var list struct {
		Continue string `json:"continue"`
	}
	err = json.NewDecoder(bytes.NewReader(body[last+len(meta):])).Decode(&list)
	return bytes.Count(body, []byte(`"kind":"AuditEvent"`)), list.Continue, err
}
