package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

// deliveredWithin bounds the way of an event: outcomes are judged after two seconds, and cursors written every five.
const deliveredWithin = time.Minute

// check waits until every change is in the cluster and was delivered, and makes sure that no secret was.
func (s *stage) check(ctx context.Context) error {
	s.say("")
	return s.step(ctx, "Waiting until every change is recorded, judged and delivered", func(ctx context.Context) error {
		var last error
		// The calls have time-outs of their own, so that the last answer is kept.
		err := wait.PollUntilContextTimeout(ctx, pollEvery, deliveredWithin, true, func(context.Context) (bool, error) {
			last = nil
			for _, trail := range s.trails {
				last = errors.Join(last, s.checkTrail(ctx, trail))
			}
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("checking the trails: %w: %w", err, last)
		}
		return s.checkSecrets(ctx)
	})
}

// checkTrail compares what a trail kept and delivered with what the people did.
func (s *stage) checkTrail(ctx context.Context, trail *v1alpha1.AuditTrail) error {
	key := client.ObjectKeyFromObject(trail)
	if err := s.admin.Get(ctx, key, trail); err != nil {
		return fmt.Errorf("reading the trail %s: %w", key, err)
	}
	var list v1alpha1.AuditEventList
	if err := s.admin.List(ctx, &list, client.InNamespace(trail.Namespace)); err != nil {
		return fmt.Errorf("listing the events of %s: %w", key, err)
	}
	records, err := read(string(trail.UID), s.account.records(streamOf(trail)))
	if err != nil {
		return fmt.Errorf("reading the records of %s: %w", key, err)
	}
	return compare(trail, s.changes(), list.Items, records)
}

// compare is pure, and returns what differs first.
func compare(trail *v1alpha1.AuditTrail, changes []change, events []v1alpha1.AuditEvent, records []delivered) error {
	var leaves, kept, arrived []entry
	for _, change := range changes {
		if trail.Status.Scope == v1alpha1.ScopeTenant || change.leaves.namespace == trail.Namespace {
			leaves = append(leaves, change.leaves)
		}
	}
	names := map[string]bool{}
	for i := range events {
		names[events[i].Namespace+"/"+events[i].Name] = true
		// What stuck is not written to an AuditEvent.
		kept = append(kept, entryOf(&events[i].Spec, cmp.Or(events[i].Status.Outcome, v1alpha1.OutcomePersisted)))
	}
	for i := range records {
		if !names[records[i].event] {
			return fmt.Errorf("%s: the delivered event %s is not in the cluster", trail.Name, records[i].event)
		}
		arrived = append(arrived, records[i].entry)
	}
	if err := missing(leaves, kept); err != nil {
		return fmt.Errorf("%s: AuditEvent of %w", trail.Name, err)
	}
	if err := missing(leaves, arrived); err != nil {
		return fmt.Errorf("%s: record of %w", trail.Name, err)
	}
	if trail.Status.Delivery == nil || trail.Status.Delivery.Delivered != int64(len(events)) || len(records) != len(events) {
		return fmt.Errorf("%s: %d events were recorded, %d arrived, and its status says %+v",
			trail.Name, len(events), len(records), trail.Status.Delivery)
	}
	return nil
}

func streamOf(trail *v1alpha1.AuditTrail) stream {
	return stream{trail.Spec.CloudWatch.Region, trail.Spec.CloudWatch.LogGroupName, trail.Status.LogStreamName}
}

// checkSecrets looks for what must be seen nowhere in every place where it might have gone.
func (s *stage) checkSecrets(ctx context.Context) error {
	places := map[string]string{}
	for _, kind := range []string{"auditevents", "audittrails", "events"} {
		output, err := s.kubectl(ctx, s.adminKubeconfig, "get", kind, "-A", "-o", "json")
		if err != nil {
			return err
		}
		places[kind] = output
	}
	for _, in := range s.account.known() {
		places["the log stream "+in.name] = strings.Join(s.account.records(in), "\n")
	}
	log, err := os.ReadFile(s.operator.LogPath())
	if err != nil {
		return fmt.Errorf("reading the operator's log: %w", err)
	}
	places["the operator's log"] = string(log)
	return leaks(places, map[string]string{
		"the Secret's password":    s.password,
		"the secret access key":    s.account.user.SecretAccessKey,
		"the operator's own token": s.operatorToken,
	})
}

// leaks returns an error for each secret that is in one of the places, in any form.
func leaks(places, secrets map[string]string) error {
	var found error
	for _, place := range slices.Sorted(maps.Keys(places)) {
		for _, what := range slices.Sorted(maps.Keys(secrets)) {
			for _, form := range forms(secrets[what]) {
				if strings.Contains(places[place], form) {
					found = errors.Join(found, fmt.Errorf("%s is in %s", what, place))
					break
				}
			}
		}
	}
	return found
}

// forms are the ways in which a secret may be written: as it is, as base64 (but for its end, which depends on what
// follows) and as a list of bytes.
func forms(secret string) []string {
	numbers := make([]string, 0, len(secret))
	for _, b := range []byte(secret) {
		numbers = append(numbers, strconv.Itoa(int(b)))
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(secret))
	return []string{secret, encoded[:len(secret)], strings.Join(numbers, ",")}
}
