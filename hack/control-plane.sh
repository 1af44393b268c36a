#!/usr/bin/env bash
# Puts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl where tests and the demo find them:
#
#   1. KUBEBUILDER_ASSETS, when set, is used as it is;
#   2. else setup-envtest downloads what it has into bin/control-plane, when its index can be reached;
#   3. else, and for what setup-envtest lacks, the programs are built from the Go modules that hack/controlplane pins.
#
# A second call finds the stamp of the first and returns at once. With the argument "oldest" it is the oldest Kubernetes that is
# supported, in bin/control-plane-oldest, with the etcd and the kubectl of the newest.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
module=$root/hack/controlplane
dir=$root/bin/control-plane
oldest=
if [[ ${1:-} == oldest ]]; then
  oldest=true module=$module/oldest dir=$dir-oldest
fi
programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl)

say() { printf 'control-plane: %s\n' "$*"; }
die() {
  say "$*" >&2
  exit 1
}

# missing DIR: the programs that DIR lacks.
missing() {
  local program
  for program in "${programs[@]}"; do
    [[ -x $1/$program ]] || printf ' %s' "$program"
  done
}

# required PATH: the version of a module that hack/controlplane requires.
required() { awk -v path="$1" '$1 == "require" { sub("require", "") } $1 == path && $2 ~ /^v/ { print $2; exit }' "$module/go.mod"; }

# stamp: changes when the programs have to be made again.
stamp() {
  { cat "$module/go.mod" "$module/go.sum" "${BASH_SOURCE[0]}" && go env GOVERSION GOOS GOARCH; } | sha256sum
}

# link_flags VERSION: without them the programs call themselves v0.0.0-master, which some clients refuse.
link_flags() {
  local major minor package
  IFS=. read -r major minor _ <<<"${1#v}"
  printf %s "-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf ' -X %s' "$package.gitVersion=$1" "$package.gitMajor=$major" "$package.gitMinor=$minor" \
      "$package.gitTreeState=clean"
  done
}

# build PROGRAM PACKAGE MINUTES [go build's options]. There is no -trimpath and no CGO_ENABLED: with Go's defaults the
# objects are shared with every other build of these packages on the machine.
build() {
  local program=$1 package=$2 minutes=$3 log=$dir/$1.log began=$SECONDS pid
  shift 3
  say "building $program (about $minutes min on two cores the first time, seconds when cached)"
  (cd "$module" && GOWORK=off GOFLAGS="-mod=readonly -buildvcs=false" \
    exec go build -o "$dir/$program.new" "$@" "$package") >"$log" 2>&1 &
  pid=$!
  trap 'kill "$pid" 2>/dev/null || true' EXIT
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    ((SECONDS - began < ${next:=15})) && continue
    say "building $program: $((SECONDS - began)) s"
    next=$((next + 15))
  done
  unset next
  trap - EXIT
  wait "$pid" || {
    tail -n 20 "$log" >&2
    die "cannot build $program; the whole log is $log"
  }
  mv -f "$dir/$program.new" "$dir/$program"
  rm -f "$log"
  say "built $program in $((SECONDS - began)) s"
}

# download VERSION: setup-envtest's etcd, kube-apiserver and kubectl of the same minor release, if it can be reached.
download() {
  local series=${1#v} assets
  series=${series%.*}
  local tool=(go tool -modfile="$root/hack/tools/go.mod" setup-envtest)
  say "looking for a download of Kubernetes $series (setup-envtest)"
  (cd "$root" && "${tool[@]}" version) >/dev/null 2>&1 || return 1 # builds the tool, outside the time-out
  (cd "$root" && timeout 10 "${tool[@]}" list "$series.x") >/dev/null 2>&1 || return 1
  assets=$(cd "$root" && timeout 300 "${tool[@]}" use "$series.x" --bin-dir "$root/bin/envtest" -p path) || return 1
  cp -f "$assets"/{etcd,kube-apiserver,kubectl} "$dir/"
}

main() {
  local lacking version current began=$SECONDS
  version=$(required k8s.io/kubernetes)
  if [[ -n ${KUBEBUILDER_ASSETS:-} && -z $oldest ]]; then
    lacking=$(missing "$KUBEBUILDER_ASSETS")
    [[ -z $lacking ]] || die "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks$lacking: add them, or unset it to have all of them made"
    say "using KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS as it is"
    return
  fi
  command -v go >/dev/null || die "go is not in PATH: install Go 1.26 or newer, or set KUBEBUILDER_ASSETS"
  current=$(stamp)
  if [[ -z $(missing "$dir") && $(cat "$dir/.stamp" 2>/dev/null) == "$current" ]]; then
    say "Kubernetes $version in ${dir#"$root"/} is up to date"
    return
  fi
  mkdir -p "$dir"
  rm -f "$dir/.stamp"
  local kubernetes=(-ldflags "$(link_flags "$version")")
  if [[ -n $oldest ]]; then
    "${BASH_SOURCE[0]}"
    cp -f "${KUBEBUILDER_ASSETS:-$root/bin/control-plane}"/{etcd,kubectl} "$dir/"
    build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver 5 "${kubernetes[@]}"
  elif download "$version"; then
    say "downloaded etcd, kube-apiserver and kubectl; the other two are not in the download"
  else
    say "no download can be reached: building from Go modules, about 8 min on two cores the first time"
    build etcd go.etcd.io/etcd/server/v3 1 -ldflags "-s -w"
    build kubectl k8s.io/kubernetes/cmd/kubectl 1 "${kubernetes[@]}"
    build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver 5 "${kubernetes[@]}"
  fi
  build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager 2 "${kubernetes[@]}"
  build kube-scheduler k8s.io/kubernetes/cmd/kube-scheduler 1 "${kubernetes[@]}"
  lacking=$(missing "$dir")
  [[ -z $lacking ]] || die "$dir still lacks$lacking"
  printf '%s\n' "$current" >"$dir/.stamp"
  say "Kubernetes $version is in ${dir#"$root"/} after $((SECONDS - began)) s"
}

main "$@"
