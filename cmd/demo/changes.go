package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/trailkeeper/trailkeeper/api/v1alpha1"
)

const (
	alice    = "alice"
	deployer = "system:serviceaccount:shop:deployer"
	shop     = "shop"
	note     = "Release 1.29, see CHG-1042"
)

// change is one kubectl command, and the entry that it must leave in the trails.
type change struct {
	args []string
	// refused is true for a command that the API server refuses after it was admitted.
	refused bool
	leaves  entry
}

// changes are what the two people do, in order.
func (s *stage) changes() []change {
	patch := `{"metadata":{"annotations":{"audit.trailkeeper.dev/note":"` + note + `"}},` +
		`"spec":{"template":{"spec":{"containers":[{"name":"nginx","image":"nginx:1.29"}]}}}}`
	secretPatch := `{"stringData":{"password":"` + s.password + `-2"}}`
	const persisted, notPersisted = v1alpha1.OutcomePersisted, v1alpha1.OutcomeNotPersisted
	return []change{
		{args: words("create deployment web --image=nginx:1.28 --replicas=0 -n shop"),
			leaves: entry{alice, "Create", "Deployment", shop, "web", "", persisted}},
		{args: append(words("patch deployment web -n shop -p"), patch),
			leaves: entry{deployer, "Update", "Deployment", shop, "web", note, persisted}},
		{args: words("scale deployment web --replicas=2 -n shop"),
			leaves: entry{alice, "Update", "Scale", shop, "web", "", persisted}},
		{args: words("create secret generic db --from-literal=password=" + s.password + " -n shop"),
			leaves: entry{alice, "Create", "Secret", shop, "db", "", cannotTell}},
		{args: append(words("patch secret db -n shop -p"), secretPatch),
			leaves: entry{deployer, "Update", "Secret", shop, "db", "", cannotTell}},
		{args: words("delete secret db -n shop"),
			leaves: entry{alice, "Delete", "Secret", shop, "db", "", cannotTell}},
		{args: words("create configmap features --from-literal=checkout=new -n shop"),
			leaves: entry{deployer, "Create", "ConfigMap", shop, "features", "", persisted}},
		{args: words("delete configmap features -n shop"),
			leaves: entry{deployer, "Delete", "ConfigMap", shop, "features", "", persisted}},
		{args: words("create ingress public --rule=shop.example.com/*=web:80 -n shop"), refused: true,
			leaves: entry{alice, "Create", "Ingress", shop, "public", "", notPersisted}},
		{args: words("create namespace staging"),
			leaves: entry{alice, "Create", "Namespace", "", "staging", "", persisted}},
	}
}

// addPeople gives alice, who has a certificate, and the shop's deployer, which has a token, a kubeconfig each.
func (s *stage) addPeople(ctx context.Context) error {
	person, err := s.env.AddUser(alice, "developers")
	if err != nil {
		return err
	}
	machine, err := s.env.ServiceAccountConfig(ctx, shop, "deployer")
	if err != nil {
		return err
	}
	s.password = "demo-" + rand.Text()
	s.kubeconfigs = map[string]string{}
	if s.kubeconfigs[alice], err = s.env.WriteKubeconfig(person, alice); err != nil {
		return err
	}
	s.kubeconfigs[deployer], err = s.env.WriteKubeconfig(machine, "deployer")
	return err
}

// makeChanges has the people run their commands.
func (s *stage) makeChanges(ctx context.Context) error {
	s.say("\nTwo people make changes: %s, and the service account shop/deployer", alice)
	for _, change := range s.changes() {
		who := change.leaves.who
		output, err := s.kubectl(ctx, s.kubeconfigs[who], change.args...)
		hidden := strings.ReplaceAll(quoted(change.args), s.password, "$PASSWORD")
		s.say("  %-8s $ kubectl %s", who[strings.LastIndex(who, ":")+1:], hidden)
		s.say("             %s", strings.TrimSpace(output))
		if err != nil && !change.refused {
			return err
		}
		if err == nil && change.refused {
			return fmt.Errorf("kubectl %s: the quota should have refused it", hidden)
		}
	}
	return nil
}

// kubectl runs kubectl for one of the people and returns what it wrote.
func (s *stage) kubectl(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	//nolint:gosec // The program is the control plane's own, and so are the commands.
	command := exec.CommandContext(ctx, s.env.Kubectl(), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "KUBERC=off",
		"KUBECACHEDIR="+filepath.Join(s.env.Dir, "kubectl-cache"))
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("running kubectl %s: %w", args[0], err)
	}
	return string(output), nil
}

func words(command string) []string { return strings.Fields(command) }

// quoted is a command as one types it into a shell.
func quoted(args []string) string {
	typed := make([]string, 0, len(args))
	for _, arg := range args {
		if strings.ContainsAny(arg, `{ *`) {
			arg = "'" + arg + "'"
		}
		typed = append(typed, arg)
	}
	return strings.Join(typed, " ")
}
