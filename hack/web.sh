#!/usr/bin/env bash
# Puts what the console takes from npm under bin/web, as pinned in hack/web, and fails when the committed typeface is another.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
stamp=bin/web/node_modules/.package-lock.json
if [[ ! -e $stamp || hack/web/package-lock.json -nt $stamp ]]; then
  mkdir -p bin/web
  cp hack/web/package.json hack/web/package-lock.json bin/web/
  npm ci --prefix bin/web --ignore-scripts --no-audit --no-fund >/dev/null
  touch "$stamp"
fi
inter=bin/web/node_modules/@fontsource-variable/inter
cmp "$inter/files/inter-latin-wght-normal.woff2" internal/console/web/inter.woff2
cmp "$inter/LICENSE" internal/console/web/inter.LICENSE.txt
