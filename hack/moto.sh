#!/usr/bin/env bash
# Makes sure of moto_server, which answers as AWS does and evaluates IAM policies, and of the aws command, which reads
# back what was delivered. Prints the folder to put in front of PATH, or nothing when both are there already.
# Where they cannot be had it says so; with TRAILKEEPER_REQUIRE_MOTO set that is an error.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/bin/moto

say() { printf 'moto: %s\n' "$*" >&2; }

# works PROGRAM: a shim of a Python that lacks the package is in PATH and fails.
works() { command -v "$1" >/dev/null && "$1" "${2:---help}" >/dev/null 2>&1; }

if works moto_server && works aws --version; then
  exit 0
fi
if [[ ! -x $venv/bin/moto_server || ! -x $venv/bin/aws ]]; then
  say "installing moto_server and the aws command into ${venv#"$root"/} (about a minute)"
  rm -rf "$venv"
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet 'moto[server]==5.*' 'awscli==1.*'; } >&2; then
    rm -rf "$venv"
    say "cannot install them: the tests that need them are SKIPPED"
    [[ -z ${TRAILKEEPER_REQUIRE_MOTO:-} ]] && exit 0
    say "TRAILKEEPER_REQUIRE_MOTO is set, so this is an error: install Python packages moto[server] and awscli"
    exit 1
  fi
fi
printf '%s\n' "$venv/bin"
