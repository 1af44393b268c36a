#!/usr/bin/env bash
# Fails when something that is generated differs from what is committed, or when a check fails. It changes nothing: files
# are generated in a copy.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=()

# check NAME COMMAND...: runs all checks, and says at the end which failed.
check() {
  local name=$1
  shift
  printf 'verify: %s\n' "$name"
  "$@" || failed+=("$name")
}

generated() {
  local copy paths=(api config charts docs/reference) path status=0
  copy=$(mktemp -d)
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' path; do
    [[ ! -e $path ]] || printf '%s\0' "$path"
  done | tar --create --null --files-from=- | tar --extract --directory="$copy"
  make --no-print-directory -C "$copy" generate manifests docs >"$copy.log" 2>&1 || {
    cat "$copy.log" >&2
    status=1
  }
  for path in "${paths[@]}"; do
    diff --recursive --new-file --unified "$path" "$copy/$path" || status=1
  done
  rm -rf "$copy" "$copy.log"
  ((status == 0)) || echo "verify: run \`make generate manifests docs\` and commit the result" >&2
  return "$status"
}

formatted() {
  local files
  files=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0 gofmt -l)
  [[ -z $files ]] && return
  printf 'verify: not formatted, run make fmt:\n%s\n' "$files" >&2
  return 1
}

tidy() {
  local module status=0
  for module in . hack/tools hack/controlplane hack/controlplane/oldest hack/gitops hack/helm hack/image hack/monitoring; do
    (cd "$module" && GOWORK=off go mod tidy -diff) || status=1
  done
  return "$status"
}

scripts() {
  if ! command -v shellcheck >/dev/null; then
    echo "verify: shellcheck is not installed, so the scripts are not checked"
    return
  fi
  shellcheck .ci/run hack/*.sh
}

check "generated files" generated
check "format" formatted
check "go vet" go vet ./...
check "lint" bin/golangci-lint run
check "module files" tidy
check "scripts" scripts
if ((${#failed[@]} > 0)); then
  printf 'verify: FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "verify: all is well"
