#!/usr/bin/env bash
# Writes crds/ and the chart's copies anew, with the program given. A test fails when they differ from the code.
set -euo pipefail
windlass=$(realpath "${1:?usage: $0 PATH-OF-WINDLASS}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for folder in crds charts/windlass-crds/files; do
  rm -f "$folder"/*.yaml
  "$windlass" crds --out "$folder"
done
