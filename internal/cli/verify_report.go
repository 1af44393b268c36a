package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trailkeeper/trailkeeper/internal/ledger"
)

// printReport says what was verified, what was found, and what that does not show.
func (s *session) printReport(v *verification, report *ledger.Report) {
	s.printf("Trail    %s\n", plain(v.name))
	s.printf("Records  log stream %s of log group %s in region %s\n", plain(v.place.stream), plain(v.place.group), plain(v.place.region))
	s.printf("         %s: repeated %d, out of order %d, refused by CloudWatch Logs %d (signed entries tell of them)\n",
		amount(report.Records, "record", "records"), report.Repeated, report.OutOfOrder, report.Rejected)
	s.printf("Ledger   log stream %s: %s, repeated %d\n", plain(v.place.ledger), amount(report.Entries, "entry", "entries"), report.RepeatedEntries)
	if report.Entries > 0 {
		s.printf("         the last one vouches up to record %d, and was written at %s\n", report.Vouched, moment(report.VouchedAt.Time))
	}
	if report.Anchored {
		s.printf("Key      %s, known from %s\n", keyIDs(v.options.Keys), v.keySource)
	}
	for _, uid := range slices.Sorted(maps.Keys(report.OtherTrails)) {
		s.printf("Others   %s of the trail with uid %s, which had the same streams; verify it with --trail-uid\n",
			amount(report.OtherTrails[uid], "line", "lines"), plain(uid))
	}
	s.printf("\n")
	if !report.Anchored {
		s.printf("%s\n", s.paint(yellow, "No public key to compare with: the ledger is shown to agree with itself only. Give one that you noted with --key."))
	}
	if report.Intact() {
		s.printf("%s nothing is missing, changed, reordered, added or cut off.\n", s.paint(green, "Intact:"))
		return
	}
	s.printFindings(v, report)
}

// printFindings lists what is wrong.
func (s *session) printFindings(v *verification, report *ledger.Report) {
	s.printf("%s\n", s.paint(red, "NOT INTACT:"))
	for _, finding := range report.Findings {
		where := "records"
		if finding.InLedger {
			where = "ledger"
		}
		s.printf("  %-12s  %-7s  %s\n", finding.Damage, where, plain(finding.Message))
	}
	if report.Omitted > 0 {
		s.printf("  and %d more\n", report.Omitted)
	}
	if !v.options.Partial && beginningMissing(report) {
		s.printf("\nIf the log group keeps records for a limited time and has dropped the oldest, verify the rest with --partial.\n")
	}
	s.printf("\nKeep both log streams as they are, and look into CloudTrail for who deleted or wrote what.\n")
}

func beginningMissing(report *ledger.Report) bool {
	return slices.ContainsFunc(report.Findings, func(f ledger.Finding) bool { return f.Damage == ledger.Missing && f.First == 1 })
}

func keyIDs(keys []ledger.PublicKey) string {
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, key.ID())
	}
	return strings.Join(ids, ", ")
}

func amount(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
