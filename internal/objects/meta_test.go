package objects

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/apijson"
)

func TestASightIsWithoutManagedFields(t *testing.T) {
	for object, want := range map[string]string{
		`{"metadata":{"name":"a","managedFields":[{"x":"]"}],"uid":"u"},"data":{"managedFields":"b"}}`: `{"metadata":{"name":"a","managedFields":null,"uid":"u"},"data":{"managedFields":"b"}}`,
		`{"data":{},"metadata":{"uid":"u","name":"a"}}`:                                                `{"data":{},"metadata":{"uid":"u","name":"a"}}`,
	} {
		g := NewWithT(t)
		seen, err := readSight([]byte(object), true)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(seen.Body)).To(Equal(want))
		g.Expect(seen.Meta).To(Equal(Meta{name: "a", UID: "u"}))
	}
	_, err := readSight([]byte(`{"metadata"`), true)
	NewWithT(t).Expect(err).To(MatchError(apijson.ErrNotJSON))
}
