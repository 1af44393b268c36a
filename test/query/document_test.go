package query_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	. "github.com/onsi/gomega"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// schemas are what the API's document says of its answers.
type schemas struct {
	document map[string]any
	checked  map[string]int
}

func readSchemas(g Gomega, w *world) *schemas {
	w.t.Helper()
	answer := w.ask(http.MethodGet, "/openapi.json", "", "")
	g.Expect(answer.status).To(Equal(http.StatusOK))
	s := &schemas{checked: map[string]int{}}
	g.Expect(json.Unmarshal(answer.body, &s.document)).To(Succeed())
	return s
}

// check holds an answer against the schema that the document has for it.
func (s *schemas) check(g Gomega, method, path string, status int, body []byte) {
	if path == "/openapi.json" {
		return
	}
	route, operation := s.operation(method, path)
	if operation == nil {
		g.Expect(status).To(BeElementOf(http.StatusNotFound, http.StatusUnauthorized), "%s is not in the document", path)
		return
	}
	responses := operation["responses"].(map[string]any)
	response, ok := responses[strconv.Itoa(status)]
	if !ok {
		g.Expect(status).To(BeNumerically(">=", 400), "%s of %s is not in the document", strconv.Itoa(status), path)
		response = responses["default"]
	}
	content := s.resolved(response).(map[string]any)["content"].(map[string]any)
	raw, err := json.Marshal(content["application/json"].(map[string]any)["schema"])
	g.Expect(err).NotTo(HaveOccurred())
	schema := &spec.Schema{}
	g.Expect(json.Unmarshal(raw, schema)).To(Succeed())
	var value any
	g.Expect(json.Unmarshal(body, &value)).To(Succeed())
	result := validate.NewSchemaValidator(schema, nil, "", strfmt.Default).Validate(value)
	g.Expect(result.Errors).To(BeEmpty(), "%s %s: %s", method, path, body)
	s.checked[method+" "+route+" "+strconv.Itoa(status)]++
}

func (s *schemas) operation(method, path string) (string, map[string]any) {
	for route, item := range s.document["paths"].(map[string]any) {
		pattern := "^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(route), "[^/]+") + "$"
		if regexp.MustCompile(pattern).MatchString(path) {
			operation, _ := item.(map[string]any)[strings.ToLower(method)].(map[string]any)
			return route, operation
		}
	}
	return "", nil
}

// resolved is a part of the document with what it refers to in its place; nothing in it refers to itself.
func (s *schemas) resolved(part any) any {
	switch part := part.(type) {
	case map[string]any:
		if to, ok := part["$ref"].(string); ok {
			var at any = s.document
			for name := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
				at = at.(map[string]any)[name]
			}
			return s.resolved(at)
		}
		whole := make(map[string]any, len(part))
		for name, value := range part {
			whole[name] = s.resolved(value)
		}
		return whole
	case []any:
		whole := make([]any, 0, len(part))
		for _, value := range part {
			whole = append(whole, s.resolved(value))
		}
		return whole
	default:
		return part
	}
}
