#!/usr/bin/env bash
# Runs cargo-deny (bans, licenses, sources) in a pinned version, built once into the cache. Advisories need the network and are not part of this.
set -euo pipefail
readonly VERSION=0.20.2
cache=${WINDLASS_TESTBED_CACHE:-$HOME/.cache/windlass-testbed}
root=$cache/cargo-deny-$VERSION
if [ ! -x "$root/bin/cargo-deny" ]; then
  echo "building cargo-deny $VERSION" >&2
  env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$root" cargo-deny@$VERSION
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec "$root/bin/cargo-deny" --offline --log-level warn check bans licenses sources
