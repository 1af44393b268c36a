package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	readyTimeout = time.Minute
	pollEvery    = 250 * time.Millisecond
)

// samples are applied as they are, but for what readSamples fills in.
var samples = []string{"config/samples/tenant_trail.yaml", "config/samples/project_trail.yaml"}

// applySamples makes the shop and the trails, and waits until they are Ready.
func (s *stage) applySamples(ctx context.Context) error {
	s.say("Applying %s and %s, with the user's keys", samples[0], samples[1])
	objects, trails, err := s.readSamples(ctx)
	if err != nil {
		return err
	}
	shop, err := s.env.Render(ctx, "cmd/demo/shop.yaml")
	if err != nil {
		return err
	}
	if err := s.env.Apply(ctx, append(objects, shop...)...); err != nil {
		return err
	}
	if err := s.addPeople(ctx); err != nil {
		return err
	}
	if err := s.env.Apply(ctx, trails...); err != nil {
		return err
	}
	return s.step(ctx, "Waiting for the trails to be Ready", func(ctx context.Context) error {
		for _, object := range trails {
			trail := &v1alpha1.AuditTrail{}
			if err := s.waitReady(ctx, client.ObjectKeyFromObject(object), trail); err != nil {
				return err
			}
			s.trails = append(s.trails, trail)
		}
		return nil
	})
}

// readSamples reads the samples and puts the account's keys where they say so. Trails are apart, so that they are
// applied last and do not record how the demo is set up.
func (s *stage) readSamples(ctx context.Context) (objects, trails []*unstructured.Unstructured, err error) {
	for _, path := range samples {
		sample, err := s.env.Render(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		for _, object := range sample {
			switch object.GetKind() {
			case "AuditTrail":
				// The sample of the project expects its log group to be there.
				err = unstructured.SetNestedField(object.Object, "IfMissing", "spec", "cloudWatch", "logGroupCreationPolicy")
				trails = append(trails, object)
			case "Secret":
				err = s.fillKeys(object)
				objects = append(objects, object)
			default:
				objects = append(objects, object)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("filling in %s of %s: %w", object.GetName(), path, err)
			}
		}
	}
	return objects, trails, nil
}

// fillKeys replaces the placeholders of a sample's Secret.
func (s *stage) fillKeys(secret *unstructured.Unstructured) error {
	values, _, err := unstructured.NestedStringMap(secret.Object, "stringData")
	if err != nil {
		return err
	}
	for key, value := range values {
		switch value {
		case "put-your-access-key-id-here":
			values[key] = s.account.user.AccessKeyID
		case "put-your-secret-access-key-here":
			values[key] = s.account.user.SecretAccessKey
		default:
			return fmt.Errorf("%s is neither placeholder", key)
		}
	}
	return unstructured.SetNestedStringMap(secret.Object, values, "stringData")
}

// waitReady reads a trail until it is Ready, and says what is missing when it does not become so.
func (s *stage) waitReady(ctx context.Context, key client.ObjectKey, trail *v1alpha1.AuditTrail) error {
	err := wait.PollUntilContextTimeout(ctx, pollEvery, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := s.admin.Get(ctx, key, trail); err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(trail.Status.Conditions, v1alpha1.ReadyCondition), nil
	})
	if err == nil {
		return nil
	}
	for _, condition := range trail.Status.Conditions {
		s.say("  %s: %s=%s %s: %s", key, condition.Type, condition.Status, condition.Reason, condition.Message)
	}
	return fmt.Errorf("waiting for the trail %s to be Ready: %w", key, err)
}
