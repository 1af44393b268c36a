#!/usr/bin/env bash
# Uninstalls what `kubectl apply -k config/default` installed from the cluster of the kubeconfig, in the order in which no change
# waits or is refused: the webhook configurations go while replicas still answer, then everything else. It does not need AWS.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

go run ./cmd/manager uninstall

# Everything but the CRDs, the namespace and the grants, with which the record would go.
for folder in manager webhook networkpolicy flowcontrol rbac policy; do
  kubectl kustomize "config/$folder" |
    awk 'BEGIN { RS = "---\n"; ORS = "---\n" } !/(^|\n)kind: ConfigMap\n/' |
    kubectl delete --ignore-not-found --filename=-
done

cat <<'EOF'
Uninstalled. These stay, so that an installation later goes on where this one stopped:
  the CRDs, AuditTrails and AuditEvents       kubectl get audittrails,auditevents -A
  the namespace trailkeeper-system, with the operator's Secrets, Leases and the grants of roles
docs/install.md says how to remove them too.
EOF
