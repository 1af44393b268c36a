#!/usr/bin/env bash
# Builds the kubectl plugin's archives and its krew manifest: hack/krew.sh VERSION URL, where URL is the folder that the archives
# will be downloaded from. PLATFORMS narrows what is built. Everything is put under bin/krew.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?give the version, such as v0.1.0}
url=${2:?give the folder of the archives, such as https://example.com/releases/v0.1.0}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || {
  echo "krew: the version is $version, and must be like v0.1.0" >&2
  exit 1
}
platforms=${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}
out=bin/krew
rm -rf "$out"
mkdir -p "$out"

manifest=$out/trail.yaml
sed "s/@VERSION@/$version/" hack/krew.yaml >"$manifest"
for platform in $platforms; do
  os=${platform%/*} arch=${platform#*/} binary=kubectl-trail
  [[ $os != windows ]] || binary=kubectl-trail.exe
  archive=kubectl-trail_${version}_${os}_${arch}.tar.gz
  staging=$(mktemp -d)
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w" -o "$staging/$binary" ./cmd/kubectl-trail
  cp LICENSE "$staging/"
  # The same content gives the same archive.
  tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --directory="$staging" . | gzip --no-name >"$out/$archive"
  rm -rf "$staging"
  sum=$(sha256sum "$out/$archive" | cut -d' ' -f1)
  cat >>"$manifest" <<END
  - selector:
      matchLabels:
        os: $os
        arch: $arch
    uri: $url/$archive
    sha256: $sum
    bin: $binary
END
done
echo "krew: wrote $manifest"
