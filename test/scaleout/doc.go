// Package scaleout runs several replicas of the built operator against a real API server and the simulator of CloudWatch
// Logs, has replicas come, go, die and freeze while many trails record, and checks the ledger of each trail: nothing is
// lost, nothing is out of order, and what arrived twice is identical.
package scaleout
