#!/usr/bin/env bash
# Runs test/node on the cluster of KUBECONFIG. LOAD_IMAGE is a command that takes the path of an image's tar and puts it on the
# cluster's nodes, such as `kind load image-archive`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ -n ${KUBECONFIG:-} && -n ${LOAD_IMAGE:-} ]] || {
  echo 'e2e: say make e2e KUBECONFIG=FILE LOAD_IMAGE="COMMAND", such as LOAD_IMAGE="kind load image-archive"' >&2
  exit 1
}

image=localhost/trailkeeper-manager:e2e
IMAGE=$image hack/image.sh
read -r -a load <<<"$LOAD_IMAGE"
"${load[@]}" bin/image/trailkeeper-manager.tar

TRAILKEEPER_E2E_IMAGE=$image CGO_ENABLED=0 go test -count=1 -v -timeout 15m ./test/node
