package conditions

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

var (
	noon  = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Hour)
)

func TestTransitionTimeMovesWithTheStatusOnly(t *testing.T) {
	g := NewWithT(t)
	trail := &v1alpha1.AuditTrail{ObjectMeta: metav1.ObjectMeta{Generation: 3}}

	True(trail, noon, v1alpha1.RecordingCondition, v1alpha1.ReasonSucceeded, "first")
	True(trail, later, v1alpha1.RecordingCondition, v1alpha1.ReasonSucceeded, "second")
	c := Get(trail, v1alpha1.RecordingCondition)
	g.Expect(c.LastTransitionTime.Time).To(BeTemporally("==", noon))
	g.Expect(c.Message).To(Equal("second"))
	g.Expect(c.ObservedGeneration).To(Equal(int64(3)))

	False(trail, later, v1alpha1.RecordingCondition, v1alpha1.ReasonWebhookPending, "third")
	g.Expect(Get(trail, v1alpha1.RecordingCondition).LastTransitionTime.Time).To(BeTemporally("==", later))
}

func TestAConditionThatCameBackHasNotChanged(t *testing.T) {
	g := NewWithT(t)
	trail := &v1alpha1.AuditTrail{}
	False(trail, noon, v1alpha1.CredentialsValidCondition, v1alpha1.ReasonTokenExpired, "expired")
	False(trail, noon, v1alpha1.DestinationReadyCondition, v1alpha1.ReasonUnreachable, "away")
	before := trail.DeepCopy()

	True(trail, later, v1alpha1.CredentialsValidCondition, v1alpha1.ReasonSucceeded, "STS accepts them")
	False(trail, later, v1alpha1.CredentialsValidCondition, v1alpha1.ReasonTokenExpired, "expired")
	True(trail, later, v1alpha1.DestinationReadyCondition, v1alpha1.ReasonSucceeded, "there")
	True(trail, later, v1alpha1.RecordingCondition, v1alpha1.ReasonSucceeded, "new")
	KeepTransitions(before, trail)

	g.Expect(Get(trail, v1alpha1.CredentialsValidCondition)).To(Equal(Get(before, v1alpha1.CredentialsValidCondition)))
	for _, changed := range []string{v1alpha1.DestinationReadyCondition, v1alpha1.RecordingCondition} {
		g.Expect(Get(trail, changed).LastTransitionTime.Time).To(BeTemporally("==", later), changed)
	}
}

func TestSetReady(t *testing.T) {
	type state struct {
		kind   string
		status metav1.ConditionStatus
		reason string
	}
	good := []state{
		{v1alpha1.CredentialsValidCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		{v1alpha1.DestinationReadyCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		{v1alpha1.RecordingCondition, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
	}
	cases := map[string]struct {
		states []state
		status metav1.ConditionStatus
		reason string
	}{
		"nothing known":                     {nil, metav1.ConditionUnknown, v1alpha1.ReasonProgressing},
		"all met, nothing pushed yet":       {good, metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		"one missing":                       {good[:2], metav1.ConditionUnknown, v1alpha1.ReasonProgressing},
		"False before Unknown":              {append(good[:2:2], state{v1alpha1.DeliveringCondition, metav1.ConditionFalse, v1alpha1.ReasonUnreachable}), metav1.ConditionFalse, v1alpha1.ReasonUnreachable},
		"first False wins":                  {[]state{{v1alpha1.RecordingCondition, metav1.ConditionFalse, v1alpha1.ReasonWebhookPending}, {v1alpha1.CredentialsValidCondition, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound}}, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound},
		"throttled delivery does not count": {append(good[:3:3], state{v1alpha1.DeliveringCondition, metav1.ConditionFalse, v1alpha1.ReasonThrottled}), metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
		"stopped delivery counts":           {append(good[:3:3], state{v1alpha1.DeliveringCondition, metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed}), metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed},
		"retention does not count":          {append(good[:3:3], state{v1alpha1.RetentionManagedCondition, metav1.ConditionFalse, v1alpha1.ReasonActionNotAllowed}), metav1.ConditionTrue, v1alpha1.ReasonSucceeded},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			trail := &v1alpha1.AuditTrail{}
			for _, s := range c.states {
				set(trail, noon, s.kind, s.status, s.reason, "text")
			}
			SetReady(trail, noon)
			ready := Get(trail, v1alpha1.ReadyCondition)
			g.Expect(ready.Status).To(Equal(c.status))
			g.Expect(ready.Reason).To(Equal(c.reason))
		})
	}
}
