package httpapi

import (
	"maps"
	"strings"
	"time"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/query"
	"github.com/trailkeeper/trailkeeper/internal/query/describe"
)

// The types of this file are the audits API on the wire. Field names are given by the clients that exist.

type auditList struct {
	Items    []auditItem `json:"items"`
	ListMeta listMeta    `json:"listmeta"`
}

type listMeta struct {
	// Continue goes on behind this page; empty at the end.
	Continue string `json:"continue"`
	// Count is how many items are known of: those up to the end of this page, and one more when there are more. All are never
	// counted, because that would take reading all of them.
	Count int `json:"count"`
	Limit int `json:"limit"`
	// CompleteSince is from when on the answer has everything, where older events could not be read.
	CompleteSince time.Time `json:"completeSince,omitzero"`
	// Offset is that of the next page.
	Offset int `json:"offset"`
}

type auditItem struct {
	Metadata auditMeta `json:"metadata"`
	Spec     auditSpec `json:"spec"`
}

type auditMeta struct {
	Name string `json:"name"`
	// UID is the AuditEvent's name, which is unique in the cluster and stays the same wherever the event is kept.
	UID                   string            `json:"uid"`
	CreationTimestamp     time.Time         `json:"creationTimestamp"`
	LastModifiedTimestamp time.Time         `json:"lastModifiedTimestamp"`
	Labels                map[string]string `json:"labels"`
	Annotations           map[string]string `json:"annotations"`
}

type auditSpec struct {
	ActionType string        `json:"actionType"`
	ActionMsg  string        `json:"actionMsg"`
	ContentMsg string        `json:"contentMsg"`
	UserMsg    string        `json:"userMsg"`
	Actor      auditActor    `json:"actor"`
	Resource   auditResource `json:"resource"`
}

type auditActor struct {
	ActorType string `json:"actorType"`
	// ServiceName is the user name of a service account or a component.
	ServiceName string       `json:"serviceName,omitempty"`
	User        *auditUser   `json:"user,omitempty"`
	Project     auditProject `json:"project"`
}

type auditUser struct {
	UID string `json:"uid"`
	// EmailID is the user name: Kubernetes knows no addresses, though identity providers often give them as names.
	EmailID string `json:"emailId"`
}

type auditProject struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

type auditResource struct {
	Kind  string `json:"kind"`
	Label string `json:"label"`
	Name  string `json:"name"`
	UID   string `json:"uid"`
}

type auditMessages struct {
	ActionMsg  string `json:"actionMsg"`
	ContentMsg string `json:"contentMsg"`
}

type auditNote struct {
	UserMsg *string `json:"userMsg"`
}

const (
	outcomeAnnotation = "audit.trailkeeper.dev/outcome"
	sourceAnnotation  = "audit.trailkeeper.dev/source"
)

func itemOf(row *query.Row) auditItem {
	event := row.Event
	labels, annotations := maps.Clone(event.Labels), maps.Clone(event.Annotations)
	if labels == nil {
		labels = map[string]string{}
	}
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[sourceAnnotation] = string(row.Source)
	if row.Outcome != "" {
		annotations[outcomeAnnotation] = string(row.Outcome)
	}
	at := event.Spec.Time.UTC()
	object := &event.Spec.Resource
	return auditItem{
		Metadata: auditMeta{
			Name: event.Name, UID: event.Name, CreationTimestamp: at, LastModifiedTimestamp: at, Labels: labels, Annotations: annotations,
		},
		Spec: auditSpec{
			ActionType: strings.ToLower(string(event.Spec.Action)),
			ActionMsg:  describe.Action(event), ContentMsg: describe.Content(event), UserMsg: describe.Note(event),
			Actor:    actorOf(&event.Spec),
			Resource: auditResource{Kind: object.Kind, Label: object.Name, Name: object.Name, UID: object.UID},
		},
	}
}

func actorOf(spec *v1alpha1.AuditEventSpec) auditActor {
	name := spec.Actor.Username
	actor := auditActor{Project: auditProject{Name: spec.Resource.Namespace, UID: spec.Resource.Namespace}}
	switch spec.Actor.Type {
	case v1alpha1.ActorUser:
		actor.ActorType = "user"
	case v1alpha1.ActorServiceAccount:
		actor.ActorType, actor.ServiceName = "service", name
	default:
		actor.ActorType, actor.ServiceName = "system", name
	}
	if name != "" {
		uid := spec.Actor.UID
		if uid == "" {
			uid = name
		}
		actor.User = &auditUser{UID: uid, EmailID: name}
	}
	return actor
}

// eventList is the richer form: the AuditEvents themselves.
type eventList struct {
	APIVersion string        `json:"apiVersion"`
	Kind       string        `json:"kind"`
	Metadata   eventListMeta `json:"metadata"`
	Items      []eventItem   `json:"items"`
}

type eventListMeta struct {
	Continue      string    `json:"continue,omitempty"`
	CompleteSince time.Time `json:"completeSince,omitzero"`
}

// eventItem is an AuditEvent with what is known about it.
type eventItem struct {
	*v1alpha1.AuditEvent
	Outcome v1alpha1.Outcome `json:"outcome,omitempty"`
	Message string           `json:"message,omitempty"`
	Source  query.Source     `json:"source"`
}

func eventOf(row *query.Row) eventItem {
	row.Event.APIVersion, row.Event.Kind = v1alpha1.GroupVersion.String(), "AuditEvent"
	row.Event.ManagedFields = nil
	return eventItem{AuditEvent: row.Event, Outcome: row.Outcome, Message: row.Message, Source: row.Source}
}
