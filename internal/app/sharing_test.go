package app

import (
	"os"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/trailkeeper/trailkeeper/internal/shards"
)

// TestEveryLeaseIsNamedInTheRole: RBAC cannot grant the beginning of a name.
func TestEveryLeaseIsNamedInTheRole(t *testing.T) {
	g := NewWithT(t)
	role, err := os.ReadFile("../../config/rbac/role.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	for shard := range shards.Max {
		g.Expect(string(role)).To(ContainSubstring("  - " + shardLease + strconv.Itoa(shard) + "\n"))
	}
}
