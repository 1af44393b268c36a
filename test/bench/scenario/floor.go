package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
	"github.com/trailkeeper/trailkeeper/internal/spill"
	"github.com/trailkeeper/trailkeeper/internal/testenv"
	"github.com/trailkeeper/trailkeeper/test/bench/load"
	"github.com/trailkeeper/trailkeeper/test/bench/report"
)

// FloorCommand makes the benchmark's program a webhook that creates an AuditEvent, always the same but for its name, before it
// admits, and does nothing else: neither looks at the object, nor delivers. No recorder that stores AuditEvents in the API server
// before it answers can be faster.
const FloorCommand = "floor-webhook"

// LocalFloorCommand makes it a webhook that puts the review into the spill file, as it came, before it admits. No recorder that waits
// for the disk before it answers can be much faster.
const LocalFloorCommand = "local-floor-webhook"

// floorName is what stands for an event's name in its template.
const floorName = "EVENT-NAME"

// newFloor has a kubeconfig of the operator and the template of an event, both as files.
func newFloor(args []string) (http.Handler, func(), error) {
	if len(args) != 2 {
		return nil, nil, fmt.Errorf("%s needs the files of a kubeconfig and of an event", FloorCommand)
	}
	config, err := clientcmd.BuildConfigFromFlags("", args[0])
	if err != nil {
		return nil, nil, fmt.Errorf("reading the operator's kubeconfig: %w", err)
	}
	poster, err := newPoster(config)
	if err != nil {
		return nil, nil, err
	}
	poster.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" // As the recorder asks.
	template, err := os.ReadFile(args[1])
	if err != nil {
		return nil, nil, fmt.Errorf("reading the event's template: %w", err)
	}
	store := func(w http.ResponseWriter, r *http.Request) {
		uid, err := readUID(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		event := strings.Replace(string(template), floorName, string(uid), 1)
		if err := poster.post(r.Context(), eventsPath(floorNamespace), []byte(event)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeAllowed(w, uid)
	}
	return http.HandlerFunc(store), func() {}, nil
}

// newLocalFloor has a file that nobody replays.
func newLocalFloor([]string) (http.Handler, func(), error) {
	file, end, err := newSpill()
	if err != nil {
		return nil, nil, err
	}
	store := func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		uid, err := readUID(io.TeeReader(r.Body, &body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := file.Append(r.Context(), spill.Record{Namespace: floorNamespace, Name: string(uid), Body: body.Bytes()}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeAllowed(w, uid)
	}
	return http.HandlerFunc(store), end, nil
}

func eventsPath(namespace string) string {
	return "/apis/" + v1alpha1.GroupVersion.String() + "/namespaces/" + namespace + "/auditevents?fieldValidation=Ignore"
}

// floored measures what the least that stores an event reaches, with the operator stopped: the recorder's share of the no-op
// webhook's rate can be no higher on the machine.
func floored(ctx context.Context, rig *Rig, size Size, into *report.Report) error {
	template, err := rig.floorTemplate(ctx)
	if err != nil {
		return err
	}
	rig.manager.Stop()
	// The scenarios that follow need it, whatever becomes of this one.
	return errors.Join(rig.measureFloors(ctx, template, size, into), rig.runManager(ctx))
}

func (r *Rig) measureFloors(ctx context.Context, template string, size Size, into *report.Report) error {
	if err := r.startFloor(ctx, "floor", floorNamespace, FloorCommand, r.managerOptions.Kubeconfig, template); err != nil {
		return err
	}
	if err := r.startFloor(ctx, "local-floor", localFloorNamespace, LocalFloorCommand); err != nil {
		return err
	}
	run := &recorderRun{Rig: r, size: size, results: make([][configurations][]load.Result, len(phases))}
	used := []configuration{withNoop, withFloor, withLocalFloor}
	if err := run.warmUp(ctx, "floor", used...); err != nil {
		return err
	}
	if err := run.rounds(ctx, "floor", used); err != nil {
		return err
	}
	run.reportRows(into, used...)
	for _, floor := range []target{{c: withFloor, name: "recorder.replicated"}, {c: withLocalFloor, name: "recorder.local"}} {
		into.Add(floor.name+".floor_added_p50_ms", run.addedP50(floor.c), "ms", report.Target{})
		into.Add(floor.name+".floor_ratio", run.saturatedRatio(floor.c), "of the no-op webhook's rate", report.Target{})
	}
	return nil
}

// startFloor starts a webhook for the ConfigMaps of a namespace.
func (r *Rig) startFloor(ctx context.Context, name, namespace, command string, args ...string) error {
	webhook, err := r.startWebhook(ctx, command, args...)
	if err != nil {
		return err
	}
	return testenv.Create(ctx, r.admin, webhookConfiguration(name, namespace, webhook.at))
}

// floorTemplate is the file of an event that the recorder itself made of such a ConfigMap.
func (r *Rig) floorTemplate(ctx context.Context) (string, error) {
	if _, err := r.trail(ctx, recorderNamespace); err != nil {
		return "", err
	}
	if err := r.users[0].createConfigMap(ctx, recorderNamespace, "floor-template"); err != nil {
		return "", err
	}
	var events v1alpha1.AuditEventList
	if err := r.admin.List(ctx, &events, client.InNamespace(recorderNamespace)); err != nil {
		return "", fmt.Errorf("listing events: %w", err)
	}
	for _, event := range events.Items {
		if event.Spec.Resource.Name != "floor-template" {
			continue
		}
		template := v1alpha1.AuditEvent{Spec: event.Spec}
		template.APIVersion, template.Kind = v1alpha1.GroupVersion.String(), "AuditEvent"
		template.Namespace, template.Name = floorNamespace, floorName
		body, err := json.Marshal(&template)
		if err != nil {
			return "", fmt.Errorf("encoding an event: %w", err)
		}
		path := filepath.Join(filepath.Dir(r.managerOptions.Kubeconfig), "floor-event.json")
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return "", fmt.Errorf("writing an event: %w", err)
		}
		return path, nil
	}
	return "", fmt.Errorf("the recorder made no event of the ConfigMap floor-template")
}
