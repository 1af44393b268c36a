#!/usr/bin/env bash
# Checks what is built from this repository against Go's database of known vulnerabilities: as it is online or, where that cannot be
# reached, as the module golang.org/x/vulndb has it. Fails when a vulnerable function can be called.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
database=https://vuln.go.dev
# The release of Go that the image is built with: hack/image.sh.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' go.mod)
export GOTOOLCHAIN

if ! curl --silent --fail --max-time 10 --output /dev/null "$database/index/db.json"; then
  source=$(go mod download -json golang.org/x/vulndb@latest | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  echo "vulncheck: $database cannot be reached, so the database is that of ${source##*/}"
  built=$(mktemp -d)
  trap 'rm -rf "$built"' EXIT
  GOWORK=off go run golang.org/x/vulndb/cmd/indexdb@latest -vulns "$source/data/osv" -out "$built"
  database=file://$built
fi

status=0
for module in . hack/image; do
  echo "vulncheck: module $module"
  (cd "$module" && GOWORK=off CGO_ENABLED=0 go run "$govulncheck" -db "$database" ./...) || status=1
done
exit "$status"
