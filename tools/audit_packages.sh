#!/usr/bin/env bash
# Compare requirements with the published vulnerabilities. Exit code 0: none known, 1: some are known, 2: not checked.
#
#   tools/audit_packages.sh PIP-AUDIT REQUIREMENTS
set -euo pipefail

audit=$1 requirements=$2
status=0
output=$("$audit" --progress-spinner off --disable-pip --require-hashes --requirement "$requirements" 2>&1) || status=$?
echo "$output"
if ((status)) && grep -q '^Found ' <<<"$output"; then
  exit 1
elif ((status)) || grep -q 'could not be audited' <<<"$output"; then # pip-audit skips unknown packages
  echo "NOT CHECKED, or only in part: pip-audit could not look up each package. Run this with internet access." >&2
  exit 2
fi
