#!/usr/bin/env bash
# Copies into the Helm chart what it has in common with config: manifests without values.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
chart=charts/trailkeeper/manifests

# copy FOLDER FILE...: into the chart's folder of that name.
copy() {
  mkdir -p "$chart/$1"
  cp "${@:2}" "$chart/$1/"
  rm -f "$chart/$1/kustomization.yaml"
}

rm -rf "$chart"
copy crd config/crd/bases/*.yaml
for folder in rbac policy flowcontrol webhook api networkpolicy prometheus; do
  copy "$folder" config/"$folder"/*.yaml
done
copy grafana config/grafana/*.json
copy manager config/manager/quota.yaml config/manager/disruption_budget.yaml
