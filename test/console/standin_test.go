package console_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
)

// standIn answers the two questions that the page asks of the query API, with the caller's token and so with the caller's rights.
// It stands in for the query API itself: it knows no pages and no log groups.
func standIn(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1alpha1/events", func(w http.ResponseWriter, r *http.Request) {
		list, err := eventsFor(r)
		if err != nil {
			refuse(w, err)
			return
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	mux.HandleFunc("GET /v1/audits.csv", func(w http.ResponseWriter, r *http.Request) {
		list, err := eventsFor(r)
		if err != nil {
			refuse(w, err)
			return
		}
		rows := csv.NewWriter(w)
		_ = rows.Write([]string{"time", "user", "action", "kind", "name"})
		for i := range list.Items {
			spec := &list.Items[i].Spec
			_ = rows.Write([]string{spec.Time.String(), spec.Actor.Username, string(spec.Action), spec.Resource.Kind, spec.Resource.Name})
		}
		rows.Flush()
	})
}

// eventsFor are the events that a request asks for, newest first, with the outcome Persisted where delivery would have found it.
func eventsFor(r *http.Request) (*v1alpha1.AuditEventList, error) {
	config := rest.AnonymousClientConfig(world.env.Admin())
	config.BearerToken = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	config.QPS = -1
	caller, err := testenv.NewClient(config)
	if err != nil {
		return nil, err
	}
	asked := r.URL.Query()
	place := asked.Get("projectUid")
	if place == "" {
		place = tenant
	}
	list := &v1alpha1.AuditEventList{}
	if err := caller.List(r.Context(), list, client.InNamespace(place)); err != nil {
		return nil, err
	}
	list.Items = slices.DeleteFunc(list.Items, func(event v1alpha1.AuditEvent) bool { return !wants(asked, &event) })
	slices.Reverse(list.Items)
	for i := range list.Items {
		if event := &list.Items[i]; event.Status.Outcome == "" {
			event.Status.Outcome = v1alpha1.OutcomePersisted
		}
	}
	return list, nil
}

func wants(asked url.Values, event *v1alpha1.AuditEvent) bool {
	at, kind := event.Spec.Time.Time, asked.Get("resourceKind")
	start, startErr := time.Parse(time.RFC3339, asked.Get("startTime"))
	end, endErr := time.Parse(time.RFC3339, asked.Get("endTime"))
	return (startErr != nil || !at.Before(start)) && (endErr != nil || at.Before(end)) &&
		(kind == "" || strings.EqualFold(kind, event.Spec.Resource.Kind))
}

// refuse passes on what the API server said.
func refuse(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		http.Error(w, "", http.StatusBadGateway)
		return
	}
	w.WriteHeader(int(status.Status().Code))
	_ = json.NewEncoder(w).Encode(status.Status())
}
