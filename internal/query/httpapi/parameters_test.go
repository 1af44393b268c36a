package httpapi

import (
	"net/http"
	"net/url"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/validation"
)

// FuzzParse: whatever a request asks for, what is read of it keeps within the bounds, or the answer says what is wrong.
func FuzzParse(f *testing.F) {
	for _, query := range []string{
		"", "startTime=2023-03-28T00:00:00%2B05:30&endTime=2023-04-28T23:59:59+05:30&resourceKind=project", "limit=50&offset=100",
		"limit=-1", "limit=0", "limit=5000", "limit=99999999999999999999", "offset=9223372036854775807", "continue=e30", "continue=%00", "actionType=CREATE&actionType=x",
		"outcome=pending", "order=oldest", "a=%zz", "resourceKind=&resourceKind=Pod", "projectUid=shop",
	} {
		f.Add(query, "")
	}
	f.Add("projectUid=shop", "team")
	f.Add("", "Not A Namespace")
	f.Fuzz(func(t *testing.T, query, project string) {
		g := NewWithT(t)
		request := &http.Request{URL: &url.URL{Path: "/v1/audits", RawQuery: query}, Header: http.Header{}}
		request.Header.Set("ProjectUid", project)
		p, problem := parse(request, true)
		if problem != nil {
			g.Expect(problem.status).To(Equal(http.StatusBadRequest))
			g.Expect(problem.Message).NotTo(BeEmpty())
			return
		}
		g.Expect(p.limit).To(And(BeNumerically(">=", 1), BeNumerically("<=", maxLimit)))
		g.Expect(p.offset).To(And(BeNumerically(">=", 0), BeNumerically("<=", maxOffset)))
		g.Expect(p.filter.Kinds).NotTo(ContainElement(""))
		if p.project != "" {
			g.Expect(validation.IsDNS1123Label(p.project)).To(BeEmpty())
		}
		if !p.filter.Start.IsZero() && !p.filter.End.IsZero() {
			g.Expect(p.filter.End.Before(p.filter.Start)).To(BeFalse())
		}
	})
}
