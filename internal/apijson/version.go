package apijson

import (
	"fmt"
	"strconv"
)

// ParseVersion reads a resourceVersion; those of one resource are comparable integers (KEP-5504).
func ParseVersion(version string) (uint64, error) {
	parsed, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion %q is not a number: %w", version, err)
	}
	return parsed, nil
}

// FormatVersion writes a resourceVersion.
func FormatVersion(version uint64) string { return strconv.FormatUint(version, 10) }
