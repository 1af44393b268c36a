package console_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"errors"
	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func stubEvents(w http.ResponseWriter, r *http.Request) {
	config := rest.AnonymousClientConfig(world.env.Admin())
	config.BearerToken = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	c, _ := testenv.NewClient(config)
	ns := r.URL.Query().Get("projectUid")
	if ns == "" {
		ns = tenant
	}
	var list v1alpha1.AuditEventList
	if err := c.List(r.Context(), &list, client.InNamespace(ns)); err != nil {
		var status apierrors.APIStatus
		errors.As(err, &status)
		w.WriteHeader(int(status.Status().Code))
		_ = json.NewEncoder(w).Encode(status.Status())
		return
	}
	start, _ := time.Parse(time.RFC3339, r.URL.Query().Get("startTime"))
	end, _ := time.Parse(time.RFC3339, r.URL.Query().Get("endTime"))
	list.Items = slices.DeleteFunc(list.Items, func(e v1alpha1.AuditEvent) bool {
		return e.Spec.Time.Time.Before(start) || e.Spec.Time.Time.After(end)
	})
	slices.Reverse(list.Items)
	list.Continue = ""
	for i := range list.Items {
		if list.Items[i].Status.Outcome == "" {
			list.Items[i].Status.Outcome = "Persisted"
		}
	}
	_ = json.NewEncoder(w).Encode(list)
}

func stubCSV(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte("time,kind\r\n," + r.URL.Query().Get("resourceKind") + "\r\n"))
}
