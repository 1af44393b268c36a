package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// etcdClient keeps a connection for each of many calls at once.
var etcdClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// MakeRoomInEtcd drops old revisions and gives their room back, as an administrator does when etcd is out of space, and
// ends etcd's refusal of writes.
func (e *Env) MakeRoomInEtcd(ctx context.Context) error {
	var status struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	if err := e.etcdCall(ctx, "/v3/maintenance/status", map[string]any{}, &status); err != nil {
		return err
	}
	compaction := map[string]any{"revision": status.Header.Revision, "physical": true}
	if err := e.etcdCall(ctx, "/v3/kv/compaction", compaction, nil); err != nil {
		return err
	}
	if err := e.etcdCall(ctx, "/v3/maintenance/defragment", map[string]any{}, nil); err != nil {
		return err
	}
	var raised struct {
		Alarms []struct {
			MemberID string `json:"memberID"`
			Alarm    string `json:"alarm"`
		} `json:"alarms"`
	}
	if err := e.etcdCall(ctx, "/v3/maintenance/alarm", map[string]any{"action": "GET"}, &raised); err != nil {
		return err
	}
	for _, alarm := range raised.Alarms {
		body := map[string]any{"action": "DEACTIVATE", "memberID": alarm.MemberID, "alarm": alarm.Alarm}
		if err := e.etcdCall(ctx, "/v3/maintenance/alarm", body, nil); err != nil {
			return err
		}
	}
	return nil
}

// PutInEtcd stores an object of a custom resource where the API server keeps it, which then shows it as if it had come its own way:
// many are stored so in a fraction of the time. What the API server adds and checks is up to the caller.
func (e *Env) PutInEtcd(ctx context.Context, resource schema.GroupResource, object metav1.Object) error {
	encoded, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding an object for etcd: %w", err)
	}
	key := path.Join("/registry", resource.Group, resource.Resource, object.GetNamespace(), object.GetName())
	return e.etcdCall(ctx, "/v3/kv/put", map[string]any{"key": []byte(key), "value": encoded}, nil)
}

// PassRevision has etcd's revision grow by one. The API server does not see it.
func (e *Env) PassRevision(ctx context.Context) error {
	return e.etcdCall(ctx, "/v3/kv/put", map[string]any{"key": []byte("revision"), "value": []byte{}}, nil)
}

// BackUpEtcd copies etcd's data, which is away meanwhile, and returns the copy's folder.
func (e *Env) BackUpEtcd(ctx context.Context) (string, error) {
	e.StopEtcd()
	backup, err := os.MkdirTemp(e.Dir, "etcd-backup-")
	if err == nil {
		err = os.CopyFS(backup, os.DirFS(e.file("etcd")))
	}
	if err != nil {
		return "", fmt.Errorf("backing etcd up: %w", err)
	}
	return backup, e.StartEtcd(ctx)
}

// RestoreEtcd has etcd go on from a backup, and the API server start anew, as an administrator does after a disaster.
func (e *Env) RestoreEtcd(ctx context.Context, backup string) error {
	e.StopAPIServer()
	e.StopEtcd()
	err := os.RemoveAll(e.file("etcd"))
	if err == nil {
		err = os.CopyFS(e.file("etcd"), os.DirFS(backup))
	}
	if err != nil {
		return fmt.Errorf("restoring etcd: %w", err)
	}
	if err := e.StartEtcd(ctx); err != nil {
		return err
	}
	return e.StartAPIServer(ctx)
}

// etcdCall calls etcd's JSON gateway.
func (e *Env) etcdCall(ctx context.Context, call string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding a call of etcd: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.etcdURL+call, bytes.NewReader(encoded))
	if err != nil {
		return fmt.Errorf("calling etcd: %w", err)
	}
	response, err := etcdClient.Do(request)
	if err != nil {
		return fmt.Errorf("calling etcd: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("reading etcd's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answered %s to %s: %s", response.Status, call, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// EtcdBytes is how much of etcd is in use once old revisions are dropped.
func (e *Env) EtcdBytes(ctx context.Context) (int64, error) {
	if err := e.MakeRoomInEtcd(ctx); err != nil {
		return 0, err
	}
	var status struct {
		InUse int64 `json:"dbSizeInUse,string"`
	}
	err := e.etcdCall(ctx, "/v3/maintenance/status", map[string]any{}, &status)
	return status.InUse, err
}
