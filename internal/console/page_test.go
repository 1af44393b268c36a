package console

import (
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestThePageIsServedWithItsPolicy(t *testing.T) {
	g := NewWithT(t)
	handler := newConsole(t, newAPIServer(t))
	answer := ask(t, handler, http.MethodGet, "/", "", map[string]string{"Accept-Encoding": "gzip, br"})
	g.Expect(answer.Code).To(Equal(http.StatusOK))
	g.Expect(answer.Header().Get("Content-Security-Policy")).To(And(
		HavePrefix("default-src 'none'; script-src 'self'; "), ContainSubstring("frame-ancestors 'none'"), ContainSubstring("trusted-types 'none'"),
		Not(ContainSubstring("unsafe"))))
	g.Expect(answer.Header().Get("X-Content-Type-Options")).To(Equal("nosniff"))
	g.Expect(answer.Header().Get("Content-Encoding")).To(Equal("gzip"))
	reader, err := gzip.NewReader(answer.Body)
	g.Expect(err).NotTo(HaveOccurred())
	page, err := io.ReadAll(reader)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(page)).To(And(ContainSubstring(`data-operator-namespace="trailkeeper-system"`), Not(ContainSubstring(namespaceMark))))

	again := ask(t, handler, http.MethodGet, "/", "", map[string]string{"If-None-Match": answer.Header().Get("ETag")})
	g.Expect(again.Code).To(Equal(http.StatusNotModified))
	plain := ask(t, handler, http.MethodGet, "/main.js", "", nil)
	g.Expect(plain.Header().Get("Content-Type")).To(Equal("text/javascript; charset=utf-8"))
	g.Expect(plain.Header().Get("Content-Encoding")).To(BeEmpty())
	g.Expect(ask(t, handler, http.MethodGet, "/../console.go", "", nil).Code).NotTo(Equal(http.StatusOK))
	g.Expect(ask(t, handler, http.MethodPost, "/", "", nil).Code).To(Equal(http.StatusMethodNotAllowed))
}

// The policy forbids markup that runs or styles by itself; the page must not need it, nor make markup of text.
func TestTheFilesKeepThePolicy(t *testing.T) {
	g := NewWithT(t)
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|<style|\sstyle=|\son[a-z]+="|https?://`)
	var modules []string
	g.Expect(fs.WalkDir(files, "web", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(name, ".woff2") || strings.HasSuffix(name, ".txt") || !strings.Contains(name, ".") {
			return err
		}
		content, err := files.ReadFile(name)
		text := strings.ReplaceAll(string(content), "http://www.w3.org/2000/svg", "") // A name of XML, and no address.
		g.Expect(forbidden.FindString(text)).To(BeEmpty(), name)
		if strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, "/main.js") {
			modules = append(modules, strings.TrimPrefix(name, "web"))
		}
		return err
	})).To(Succeed())
	index, err := files.ReadFile("web/index.html")
	g.Expect(err).NotTo(HaveOccurred())
	for _, module := range modules {
		g.Expect(string(index)).To(ContainSubstring(`<link rel="modulepreload" href="`+module+`">`), "it would be found late")
	}
}
