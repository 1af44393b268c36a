#!/usr/bin/env bash
# Runs every test. `make test` has made the control plane and bin/manager before.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$PWD/bin/control-plane}
moto=$(hack/moto.sh)
export PATH=${moto:+$moto:}$PATH
if command -v npm >/dev/null; then
  hack/web.sh
fi

# The API servers, and the compiler, take a tenth less CPU when they collect garbage half as often.
export GOGC=${GOGC:-200}

# The race detector needs a C compiler.
race=(-race)
if [[ $(go env CGO_ENABLED) != 1 ]] || ! command -v "$(go env CC)" >/dev/null; then
  echo "test: no C compiler, so the race detector is off"
  race=()
fi

# packages PATTERN: the packages below top-level folders of these names.
packages() { go list ./... | grep -E "^[^/]+/[^/]+/[^/]+/($1)(/|$)"; }

# The tests in test/ run built programs, where the race detector shows nothing and costs much. Their results are never
# taken from the cache: Go does not see that those programs read config/.
status=0
mapfile -t inner < <(packages "api|cmd|controllers|internal")
go test "${race[@]}" -timeout 10m "${inner[@]}" || status=$?
# Three packages at a time: each has a control plane of its own, and waits for half of its time. Those that take minutes come first, so that
# none is left alone at the end.
long='test/(e2e|oracle|chaos|scaleout|trails|console|recording|rotation)'
mapfile -t outer < <(packages "$long"; packages test | grep -vE "/$long\$")
CGO_ENABLED=0 go test -count=1 -p 3 -timeout 15m "${outer[@]}" || status=$?
# The image's tool is a module of its own. That two builds are the same, for two architectures, is for `make soak`.
(cd hack/image && GOWORK=off go test -short -count=1 -timeout 10m ./...) || status=$?
# So are the tests of the alert rules and the dashboard, to keep Prometheus out of the operator's module.
(cd hack/monitoring && GOWORK=off go test -timeout 10m ./...) || status=$?
# And those of what Flux and Argo CD make of a trail's health.
(cd hack/gitops && GOWORK=off go test -timeout 10m ./...) || status=$?
exit "$status"
