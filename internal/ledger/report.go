package ledger

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Damage says what is wrong with a ledger or its records.
type Damage string

const (
	// Missing records are neither there nor accounted for.
	Missing Damage = "Missing"
	// Truncated records are missing at the end: the ledger or the trail's status says that there were more.
	Truncated Damage = "Truncated"
	// Changed content does not have the hash that it says.
	Changed Damage = "Changed"
	// Unlinked content does not follow what comes before it.
	Unlinked Damage = "Unlinked"
	// Contradicted records are not those that a signed entry, or the trail's status, speaks of.
	Contradicted Damage = "Contradicted"
	// Conflicting content is there twice, and differs.
	Conflicting Damage = "Conflicting"
	// Unexpected records are there although the ledger says that they were refused.
	Unexpected Damage = "Unexpected"
	// Unreadable content is no record, or no entry.
	Unreadable Damage = "Unreadable"
	// Forged entries do not have their key's signature, or that of a key that nothing leads to.
	Forged Damage = "Forged"
	// Unverified content could not be looked at, because there was too much disorder.
	Unverified Damage = "Unverified"
)

// Finding is one thing that is wrong.
type Finding struct {
	Damage Damage
	// First and Last are the numbers of the records or entries, 0 when they have none.
	First, Last int64
	// InLedger says that it is about entries and not about records.
	InLedger bool
	// Message says it in one sentence.
	Message string
}

// maxFindings and maxTrails bound a report.
const (
	maxFindings = 1000
	maxTrails   = 1000
)

// Report is what Verify found.
type Report struct {
	// Findings are what is wrong, up to a thousand; Omitted counts the others.
	Findings []Finding
	Omitted  int

	// Records counts the distinct records, and Repeated those that came again, identical in all that is hashed.
	Records, Repeated int64
	// OutOfOrder counts the records that came after a later one. The order in which CloudWatch Logs returns records is that of
	// their times, which is not quite that of the chain, so that this is no damage.
	OutOfOrder int64
	// Rejected counts the records that are not there because the destination refused them, as signed entries say.
	Rejected int64
	// Last is the number of the last record.
	Last int64

	// Entries counts the distinct entries, and RepeatedEntries those that came again.
	Entries, RepeatedEntries int64
	// Vouched is up to which record signed entries vouch for the records, and VouchedAt when the last of them was written.
	Vouched   int64
	VouchedAt metav1.Time
	// Anchored says that the signatures lead to a key that the caller gave. Otherwise the ledger proves only that it agrees with
	// itself: who can delete the whole log stream can make up another.
	Anchored bool

	// OtherTrails counts, by uid, the records and entries of other trails in the same streams, such as one that was deleted and
	// made again under the same name.
	OtherTrails map[string]int64
}

// Intact says that nothing is wrong.
func (r *Report) Intact() bool { return len(r.Findings) == 0 }

func (r *Report) found(damage Damage, inLedger bool, first, last int64, format string, args ...any) {
	if len(r.Findings) >= maxFindings {
		r.Omitted++
		return
	}
	r.Findings = append(r.Findings, Finding{Damage: damage, InLedger: inLedger, First: first, Last: last, Message: fmt.Sprintf(format, args...)})
}

func (r *Report) other(uid string) {
	if r.OtherTrails == nil {
		r.OtherTrails = map[string]int64{}
	}
	if _, known := r.OtherTrails[uid]; !known && len(r.OtherTrails) >= maxTrails {
		uid = "" // All further ones together.
	}
	r.OtherTrails[uid]++
}

// are names things by their numbers: "record 3 is", "records 3 to 5 are".
func are(one, many string, first, last int64) string {
	if first == last {
		return fmt.Sprintf("%s %d is", one, first)
	}
	return fmt.Sprintf("%s %d to %d are", many, first, last)
}
