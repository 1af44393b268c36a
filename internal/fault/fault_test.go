package fault

import (
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestClassificationIsFoundThroughWrapping(t *testing.T) {
	g := NewWithT(t)
	cause := errors.New("api error AccessDenied, RequestID 4711")

	err := fmt.Errorf("opening the destination: %w",
		Wait("ActionNotAllowed", time.Minute, Text("logs:PutLogEvents is not allowed", cause)))

	found, ok := As(err)
	g.Expect(ok).To(BeTrue())
	g.Expect(found.Reason).To(Equal("ActionNotAllowed"))
	g.Expect(found.After).To(Equal(time.Minute))
	g.Expect(found.Terminal).To(BeFalse())
	g.Expect(found.Error()).To(Equal("logs:PutLogEvents is not allowed"), "the text must not carry the cause's request id")
	g.Expect(errors.Is(err, cause)).To(BeTrue())
}

func TestTerminalAndUnclassified(t *testing.T) {
	g := NewWithT(t)

	found, ok := As(Terminal("ExternalIDNotAllowed", errors.New("remove it")))
	g.Expect(ok).To(BeTrue())
	g.Expect(found.Terminal).To(BeTrue())

	_, ok = As(errors.New("connection reset"))
	g.Expect(ok).To(BeFalse())
	g.Expect(ReasonOf(errors.New("connection reset"))).To(BeEmpty())
	g.Expect(ReasonOf(nil)).To(BeEmpty())
}
