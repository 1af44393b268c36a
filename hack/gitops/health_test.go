package gitops

import (
	"os"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const key = "resource.customizations.health.audit.trailkeeper.dev_AuditTrail"

type trail struct {
	name                 string
	generation, observed int64
	ready, reason        string
	stalled, deleted     bool
	argo                 string
	flux                 status.Status
}

// States of a trail as the operator writes them (docs/audittrail.md), and what both tools are to show.
var states = []trail{
	// kstatus cannot tell a trail without a status from a kind that has none.
	{name: "new", generation: 1, argo: "Progressing", flux: status.CurrentStatus},
	{name: "changed", generation: 2, observed: 1, ready: "True", reason: "Succeeded", argo: "Progressing", flux: status.InProgressStatus},
	{name: "ready", generation: 1, observed: 1, ready: "True", reason: "Succeeded", argo: "Healthy", flux: status.CurrentStatus},
	{name: "webhook pending", generation: 1, observed: 1, ready: "False", reason: "WebhookPending", argo: "Progressing", flux: status.InProgressStatus},
	{name: "suspended", generation: 1, observed: 1, ready: "False", reason: "Suspended", argo: "Suspended", flux: status.InProgressStatus},
	{name: "no access", generation: 1, observed: 1, ready: "False", reason: "InvalidAccessKey", argo: "Degraded", flux: status.InProgressStatus},
	{name: "stalled", generation: 1, observed: 1, ready: "False", reason: "ExternalIDNotAllowed", stalled: true, argo: "Degraded", flux: status.FailedStatus},
	{name: "deleted", generation: 2, observed: 1, deleted: true, ready: "True", reason: "Succeeded", argo: "Progressing", flux: status.TerminatingStatus},
}

func (s *trail) object() map[string]any {
	metadata := map[string]any{"name": "shop", "namespace": "shop", "generation": s.generation}
	if s.deleted {
		metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	}
	object := map[string]any{
		"apiVersion": "audit.trailkeeper.dev/v1alpha1", "kind": "AuditTrail", "metadata": metadata,
	}
	if s.ready == "" {
		return object
	}
	conditions := []any{map[string]any{"type": "Ready", "status": s.ready, "reason": s.reason, "message": "why"}}
	if s.stalled {
		conditions = append(conditions, map[string]any{"type": "Stalled", "status": "True", "reason": s.reason, "message": "why"})
	}
	object["status"] = map[string]any{"observedGeneration": s.observed, "conditions": conditions}
	return object
}

func TestArgoCD(t *testing.T) {
	content, err := os.ReadFile("../../config/samples/gitops/argocd/argocd-cm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var settings struct {
		Data map[string]string `yaml:"data"`
	}
	if err := yaml.Unmarshal(content, &settings); err != nil {
		t.Fatal(err)
	}
	script := settings.Data[key]
	if script == "" {
		t.Fatalf("there is no %s", key)
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			got, message := health(t, script, state.object())
			if got != state.argo {
				t.Errorf("got %s, want %s", got, state.argo)
			}
			if message == "" {
				t.Error("there is no message")
			}
		})
	}
}

func TestFlux(t *testing.T) {
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			result, err := status.Compute(&unstructured.Unstructured{Object: state.object()})
			if err != nil {
				t.Fatal(err)
			}
			if result.Status != state.flux {
				t.Errorf("got %s, want %s", result.Status, state.flux)
			}
		})
	}
}

// health runs the script as Argo CD does: with the object as obj.
func health(t *testing.T, script string, object map[string]any) (state, message string) {
	t.Helper()
	machine := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer machine.Close()
	lua.OpenBase(machine)
	machine.SetGlobal("obj", value(machine, object))
	if err := machine.DoString(script); err != nil {
		t.Fatal(err)
	}
	result, ok := machine.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatal("the script returns no table")
	}
	return result.RawGetString("status").String(), result.RawGetString("message").String()
}

// value is what Lua sees of JSON.
func value(machine *lua.LState, of any) lua.LValue {
	switch of := of.(type) {
	case string:
		return lua.LString(of)
	case int64:
		return lua.LNumber(of)
	case []any:
		table := machine.NewTable()
		for _, item := range of {
			table.Append(value(machine, item))
		}
		return table
	case map[string]any:
		table := machine.NewTable()
		for key, item := range of {
			table.RawSetString(key, value(machine, item))
		}
		return table
	default:
		return lua.LNil
	}
}
