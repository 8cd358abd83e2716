#!/usr/bin/env bash
# run.sh FOLDER…: each folder of tests is a run of its own, with its own conftest.py and beds. The test bed's own tests run beside all others, since both mostly
# wait, and are shown when they have ended. Everything runs, and then the first failure counts.
#
# PYTHON: the test bed's Python.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH=tests/testbed PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$scratch"' EXIT

folder() {
  echo "== tests/$1"
  "$PYTHON" -m pytest -q -p no:cacheprovider "tests/$1" || echo "$1" >>"$scratch/failed"
}

beside=
for name in "$@"; do
  if [ "$name" = testbed ] && [ $# -gt 1 ]; then
    folder testbed >"$scratch/testbed.log" 2>&1 &
    beside=$!
  fi
done
for name in "$@"; do
  [ -n "$beside" ] && [ "$name" = testbed ] || folder "$name"
done
if [ -n "$beside" ]; then
  wait "$beside"
  cat "$scratch/testbed.log"
fi
if [ -s "$scratch/failed" ]; then
  echo "failed: $(tr '\n' ' ' <"$scratch/failed")"
  exit 1
fi
