// Package delivery carries AuditEvents from the API server to their destination: it reads them in the order in which
// they were recorded, judges whether each change stuck, chains the records, pushes them and commits the cursor.
//
// One courier serves one trail; couriers share nothing but the feed, so that a failing destination delays no other
// trail. Delivery is at least once: what was pushed after the last commit is pushed again after a crash, identical in
// all that is hashed. Each replica delivers the trails of the shards that it holds. It is the sole writer of
// status.delivery.
package delivery
