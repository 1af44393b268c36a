package app

import (
	"context"
	"strconv"
	"sync"

	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/trailkeeper/trailkeeper/internal/shards"
)

// shardLease is what the names of the shards' Leases begin with; their numbers follow.
const shardLease = "trailkeeper-delivery-"

// The Leases of shards, as many as there can be; creating them uses the right that leader election needs.
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;update,resourceNames=trailkeeper-delivery-0;trailkeeper-delivery-1;trailkeeper-delivery-2;trailkeeper-delivery-3;trailkeeper-delivery-4;trailkeeper-delivery-5;trailkeeper-delivery-6;trailkeeper-delivery-7;trailkeeper-delivery-8;trailkeeper-delivery-9;trailkeeper-delivery-10;trailkeeper-delivery-11;trailkeeper-delivery-12;trailkeeper-delivery-13;trailkeeper-delivery-14;trailkeeper-delivery-15,namespace=trailkeeper-system

// holdShards holds this replica's share of the shards whose trails are delivered, or all where replicas need not agree.
func (o *operator) holdShards() (everywhere, error) {
	if !o.options.LeaderElect {
		return o.holdEveryShard, nil
	}
	lock, err := o.newLocks()
	if err != nil {
		return nil, err
	}
	return shards.New(shards.Options{
		Count:    o.options.DeliveryShards,
		Lock:     func(shard int) resourcelock.Interface { return lock(shardLease + strconv.Itoa(shard)) },
		Peers:    o.presence.Peers,
		Hold:     o.delivery.Hold,
		Duration: o.options.LeaseDuration,
		Clock:    o.clock,
	}).Start, nil
}

func (o *operator) holdEveryShard(ctx context.Context) error {
	var group sync.WaitGroup
	for shard := range o.options.DeliveryShards {
		group.Go(func() { o.delivery.Hold(ctx, shard) })
	}
	group.Wait()
	return nil
}
