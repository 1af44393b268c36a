package outcome

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/ledger"
	"github.com/trailkeeper/trailkeeper/internal/recorded"
)

// TestAnUpdateThatBecameACreation: the object was removed while the request was validated.
func TestAnUpdateThatBecameACreation(t *testing.T) {
	anew := func() attempt {
		a := created()
		a.Head.Resource.UID = "u2"
		return a
	}
	tests := map[string]struct {
		creation attempt
		want     ledger.Judgement
	}{
		"at once":          {anew().after(30 * time.Millisecond), notPersisted},
		"by somebody else": {anew().after(30 * time.Millisecond).byBob(), goneSince},
		"later":            {anew().after(2 * time.Second), goneSince},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			update := updated("8", "1", "2").deleting(0)
			test.creation.ResourceVersion = 1
			j, _ := newJudge(&fakeObjects{cached: seen("u2", "9"), consistent: seen("u2", "9")})
			got := judgeAll(t.Context(), j, []recorded.Event{*update.Event}, []recorded.Event{*test.creation.Event})
			NewWithT(t).Expect(got).To(HaveExactElements(test.want))
		})
	}
}
