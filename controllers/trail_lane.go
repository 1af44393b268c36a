package controllers

import (
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/flowcontrol"
)

const (
	// trailWorkers is how many trails are reconciled at a time. Most of a reconcile is waiting.
	trailWorkers = 64
	// slowTrails is how many of them may wait for an AWS that did not answer them before, so that destinations which hang
	// leave the other workers to healthy trails.
	slowTrails = 8
	// slowRetry is when a trail that found no place among them asks again.
	slowRetry = 3 * time.Second
	// awsTimeout bounds what one reconcile waits for AWS: a hanging STS twice, and a hanging CloudWatch Logs twice.
	awsTimeout = 45 * time.Second

	// verifyRate is how many trails are verified a second: AWS allows 25 DescribeLogStreams for an account.
	verifyRate, verifyBurst = 20, 20
	// lookRate is how many log groups are looked at a second: AWS allows 10 DescribeLogGroups for an account, and 5 of the
	// calls that change a group.
	lookRate, lookBurst = 5, 5
	// lookRetry is when a look that had to wait is tried again.
	lookRetry = 5 * time.Second
)

// slowLane counts the trails that wait for an AWS which did not answer them before. The zero value is ready to use.
type slowLane struct{ inside atomic.Int32 }

// enter takes a place, and says whether there was one.
func (l *slowLane) enter() bool {
	if l.inside.Add(1) <= slowTrails {
		return true
	}
	l.leave()
	return false
}

func (l *slowLane) leave() { l.inside.Add(-1) }

// limits keep all trails together below the rates that AWS allows an account. Nil limits nothing.
type limits struct {
	verify, look flowcontrol.RateLimiter
}

func newLimits() *limits {
	return &limits{
		verify: flowcontrol.NewTokenBucketRateLimiter(verifyRate, verifyBurst),
		look:   flowcontrol.NewTokenBucketRateLimiter(lookRate, lookBurst),
	}
}

// mayLook says whether a log group may be looked at now.
func (l *limits) mayLook() bool { return l == nil || l.look.TryAccept() }
