# make demo   watch the main job happen, on real parts on this machine
# make test   everything that CI runs but the long matrices
# make help   the rest

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

TESTBED := tests/testbed
CACHE   := $(or $(WINDLASS_TESTBED_CACHE),$(HOME)/.cache/windlass-testbed)
TARGET  := $(or $(CARGO_TARGET_DIR),target)
# The AWS crates are large: no incremental state, which nothing here gains from.
export CARGO_INCREMENTAL := 0
export PYTHONDONTWRITEBYTECODE := 1
export WINDLASS_BINARY := $(abspath $(TARGET)/debug/windlass)

PYTHON = $$($(TESTBED)/install.sh --print-venv)/bin/python
PYTEST = PYTHONPATH=$(TESTBED) $(PYTHON) -m pytest -q -p no:cacheprovider

FOLDERS = cli compile chart admission reconcile docs e2e testbed

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: install
install: ## Everything that tests and demo run on, into a cache outside the tree
	$(TESTBED)/install.sh

.PHONY: build
build:
	cargo build --locked --bins

.PHONY: demo
demo: install build ## Watch the main job happen: control plane, AWS endpoint, a workflow on five nodes, and one that fails
	@PYTHONPATH=$(TESTBED) $(PYTHON) -m testbed.demo

.PHONY: up
up: install build ## The demo's surroundings, kept running to play with
	@PYTHONPATH=$(TESTBED) $(PYTHON) -m testbed.demo --up

.PHONY: down
down: ## Ends what `make up` began
	@$(TESTBED)/bed down

.PHONY: crds
crds: build ## Writes crds/ and the charts' copies anew
	@tests/write-crds.sh $(WINDLASS_BINARY)

.PHONY: lint
lint: ## Formatting, clippy, licences and sources of dependencies
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	tests/deny.sh

.PHONY: unit
unit: ## Tests that need nothing but the compiler
	cargo test --locked

.PHONY: pytest
pytest: install build ## Tests on the test bed
	@PYTHON="$(PYTHON)" tests/run.sh $(FOLDERS)

.PHONY: test
test: install lint unit pytest ## Everything but the long matrices

.PHONY: matrix
matrix: install build ## The long ones: kill -9 between any two writes, faults at every call
	$(PYTEST) -m matrix tests/e2e
	$(PYTEST) -m matrix tests/testbed

.PHONY: figures
figures: install ## The figures of docs/performance.md, with a release build
	cargo build --locked --release --bins
	@WINDLASS_BINARY=$(abspath $(TARGET)/release/windlass) PYTHONPATH=$(TESTBED) $(PYTHON) -m testbed.figures
