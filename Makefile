# One command runs the pipeline (make run), one tests it (make test); both do their own set-up. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.edgepress-ready
UV_VERSION := 0.13.9

# The first Python that every pinned package has a build for.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)

PRESET ?=
MLFLOW_PORT ?= 5000
PREFECT_PORT ?= 4200
REPORT_PORT ?= 8000
TESTS ?= tests
WORKERS ?= 2

# What stages call `python` is this one.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A Prefect flow without a server starts one for itself, which takes a while on a small machine.
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180
# Nothing a dependency does may phone home.
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export GX_ANALYTICS_ENABLED := False
export HF_HUB_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export NNCF_CI := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: help setup run plan flow ui test soak lint bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY) ## make .venv from requirements.lock (every other target does this first)

$(READY): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "setup: no Python 3.11, 3.12 or 3.13 found; install one, or say make PYTHON=/path/to/python3.11" >&2; exit 2; fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { \
		echo "setup: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode) --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

run: setup ## run the whole pipeline; PRESET=name first merges presets/name.yaml into params.yaml
	@if [ -n "$(PRESET)" ]; then $(BIN)/edgepress preset "$(PRESET)" --write; fi
	@$(BIN)/edgepress params
	@$(BIN)/python -m stages.lockfile
	@git rev-parse --git-dir >/dev/null 2>&1 || $(BIN)/dvc config --local core.no_scm true
	@$(BIN)/edgepress plan || true
	$(BIN)/dvc repro
	@$(BIN)/edgepress report

plan: setup ## say which stages a run would execute now, why, and about how long it takes
	@git rev-parse --git-dir >/dev/null 2>&1 || $(BIN)/dvc config --local core.no_scm true
	@$(BIN)/edgepress plan

flow: setup ## run the same graph as a Prefect flow, one task per stage
	$(BIN)/python -m flows.pipeline

ui: setup ## serve MLflow, Prefect and the report on this machine; Ctrl-C stops them
	@MLFLOW_PORT=$(MLFLOW_PORT) PREFECT_PORT=$(PREFECT_PORT) REPORT_PORT=$(REPORT_PORT) infra/ui.sh $(BIN)

test: setup ## run the tests; TESTS=path picks some
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

soak: setup ## run the longer proofs that `make test` leaves out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak -n $(WORKERS) --dist loadfile $(TESTS)

lint: setup ## check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## run every benchmark of benchmarks/
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

lock: setup ## resolve pyproject.toml anew, keeping every pin that still fits
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-emit-index-url \
		pyproject.toml --output-file requirements.lock

# What the stages make; the DVC cache, the registry and your own data stay.

clean: ## remove what a run made and the tools' caches; keeps .venv, the DVC cache and the registry
	rm -rf data/manifest data/check data/embeddings data/selection models targets state metrics reports .edgepress build
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find edgepress stages flows tests benchmarks -name __pycache__ -type d -exec rm -rf {} +
