// Package shards spreads the delivery of trails over the replicas. Trails are divided into a fixed number of shards, each
// of which has a Lease, and every replica holds its fair share of them.
//
// It knows nothing of trails but their uid, and does not deliver: it says for which shards this replica is responsible.
package shards
