package note

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

func TestPatch(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"why", "ärg", strings.Repeat("ä", Max), `a "quoted" note` + "\n"} {
		patch, err := Patch(text)
		g.Expect(err).NotTo(HaveOccurred(), text)
		event := &v1alpha1.AuditEvent{}
		data, err := patch.Data(event)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(data).To(ContainSubstring(`{"metadata":{"annotations":{"` + v1alpha1.NoteAnnotation + `":`))
	}
	for _, text := range []string{"", "ab", "ää", strings.Repeat("a", Max+1)} {
		_, err := Patch(text)
		g.Expect(err).To(MatchError(ContainSubstring("3 to 255 characters")), text)
	}
}
