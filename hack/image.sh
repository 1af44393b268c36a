#!/usr/bin/env bash
# Builds the operator's image for linux/amd64 and linux/arm64 into bin/image: trailkeeper-manager.tar (an OCI layout),
# trailkeeper-manager.spdx.json and digest. The same commit gives the same bytes on every machine.
#
# IMAGE is the image's name and tag. IMAGE_OUT is another folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${IMAGE_OUT:-$root/bin/image}
image=${IMAGE:-trailkeeper-manager:dev}

cd "$root"
# The release of Go that go.mod names, whichever is installed: known vulnerabilities of its library are looked for in that one.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.mod)
export GOTOOLCHAIN
revision=$(git rev-parse HEAD)
created=$(TZ=UTC git show --no-patch --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ HEAD)
if [[ -n $(git status --porcelain) ]]; then
  revision+=-dirty
  echo "image: what is not committed goes into the image, which is therefore not that of a commit" >&2
fi

mkdir -p "$out"
binaries=()
for architecture in amd64 arm64; do
  binary=$out/manager-$architecture
  # Nothing of the machine: no paths, no settings of its own, no commit, which the image's label has.
  env GOFLAGS=-mod=readonly GOWORK=off GOEXPERIMENT= CGO_ENABLED=0 GOOS=linux GOARCH="$architecture" GOAMD64=v1 GOARM64=v8.0 \
    go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" -o "$binary" ./cmd/manager
  binaries+=("$architecture=$binary")
done
cd hack/image
GOFLAGS=-mod=readonly GOWORK=off go run . build -out "$out" -name "$image" -revision "$revision" -created "$created" "${binaries[@]}"
