# From a clone to results: `make repro`. Needs Python 3.11 or newer, git and make.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup bench-setup repro flow server deploy worker remote audit test test-ci test-full mutants lint deps lock lock-check clean

# what the lock is for, newest first
VERSIONS := 3.14 3.13 3.12 3.11
NAMES := $(VERSIONS:%=python%) python3 python
# the newest of them that runs, and uv if it runs: a name on the PATH may be an empty shim
PYTHON ?= $(shell for name in $(NAMES); do \
	$$name -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' $(VERSIONS) \
	2>/dev/null && command -v $$name && break; done)
UV ?= $(or $(shell uv --version >/dev/null 2>&1 && command -v uv),build/uv/bin/uv)
BIN := .venv/bin
READY := .venv/ready
COMPILE := pip compile --quiet pyproject.toml --universal --python-version $(lastword $(VERSIONS)) \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

# Where this is set, every start of a stage compiles thousands of files of torch, Prefect and Great
# Expectations again, half a minute in all.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv from the hash-pinned lock

$(READY): requirements.lock pyproject.toml | $(UV)
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python $(or $(PYTHON),$(lastword $(VERSIONS))) .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m stages.project.plots_page
	@touch $@

bench-setup: .venv/bench ## add what the benchmarks compare with

.venv/bench: benchmarks/requirements.lock $(READY)
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r benchmarks/requirements.lock
	@touch $@

build/uv/bin/uv:
	@[ -n "$(PYTHON)" ] || { echo "error: none of Python $(VERSIONS) found; install one, or uv" >&2; exit 1; }
	@for name in "$(PYTHON)" $(NAMES); do "$$name" -m pip --version >/dev/null 2>&1 || continue; \
		exec "$$name" -m pip install --quiet --disable-pip-version-check --target build/uv uv; done; \
	echo "error: install uv, or pip for $(PYTHON)" >&2; exit 1

repro: $(READY) ## run the pipeline; only what is stale runs
	$(BIN)/dvc repro
	@$(BIN)/python -m stages.project.summary

flow: $(READY) ## run the pipeline as a Prefect flow
	$(BIN)/python -m stages.flow
	@$(BIN)/python -m stages.project.summary

# nothing is sent to Prefect's maker
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT := false
# in memory, a restart of the server would end the nightly run, whose slot it then does not know
export PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE := prefect.server.concurrency.lease_storage.filesystem
export YOLO_REPOSITORY ?= $(shell git remote get-url origin 2>/dev/null)
export YOLO_REVISION ?= main
export YOLO_IMAGE ?= yolov1:latest
POOL := $(BIN)/prefect work-pool

server: $(READY) ## start a Prefect server on this machine, http://127.0.0.1:4200
	$(BIN)/prefect server start --background
	@$(BIN)/python -m stages.flow.server

deploy: $(READY) ## create work pools, deployments and automations on the Prefect server
	@$(BIN)/python -m stages.flow.server
	$(POOL) create yolo --type process --overwrite
	$(POOL) set-concurrency-limit yolo 1
	@mkdir -p build
	$(BIN)/python -m stages.flow.job_template kubernetes build/kubernetes.json
	$(POOL) create gpu-kubernetes --type kubernetes --base-job-template build/kubernetes.json --overwrite
	$(BIN)/python -m stages.flow.job_template ecs build/ecs.json
	$(POOL) create gpu-ecs --type ecs --base-job-template build/ecs.json --overwrite
	$(BIN)/prefect --no-prompt deploy --all
	$(BIN)/python -m stages.flow.automations

worker: $(READY) ## run what the server schedules on this machine, until interrupted
	$(BIN)/prefect worker start --pool yolo

remote: $(READY) ## where data and models are kept: make remote URL=... [ENDPOINT=...] [KEY=...]
	@[ -n "$(URL)" ] || { echo "error: give URL=: a folder, s3://, ssh:// or http(s)://" >&2; exit 1; }
	@$(BIN)/yolov1 remote $(if $(ENDPOINT),--endpoint "$(ENDPOINT)") $(if $(KEY),--key "$(KEY)") -- "$(URL)"

# files side by side, one on each core (more than four start more servers than they save time)
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

test: $(READY) ## run the tests
	$(PYTEST) -m "not slow"

test-ci: $(READY) ## run the tests, and the long ones that show a night end to end
	$(PYTEST) -m "not slow or ci"

test-full: $(READY) ## run all tests, the long ones too
	$(PYTEST)

mutants: $(READY) ## change a module bit by bit and see what no test notices: make mutants MODULE=...
	@[ -n "$(MODULE)" ] || { echo "error: give MODULE=yolo/detection/loss.py [MOST=40] [SEED=0]" >&2; exit 1; }
	$(BIN)/python tests/mutants.py $(MODULE) $(if $(MOST),--most $(MOST)) $(if $(SEED),--seed $(SEED))

lint: $(READY) ## check style, types, and the code deps in dvc.yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m stages.project.deps --check

deps: $(READY) ## rewrite the code deps in dvc.yaml from what the stages import
	$(BIN)/python -m stages.project.deps

audit: $(READY) ## look the lock up in the database of known vulnerabilities (needs the network)
	$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict \
		--progress-spinner off || { status=$$?; \
		echo "audit: vulnerabilities are listed above; without such a list the database" \
		"was not reached and nothing was checked" >&2; exit $$status; }

# The one package that has no wheel is pure Python. The target folder is never made.
DRY_INSTALL := pip install --quiet --dry-run --no-deps --require-hashes --target build/nowhere \
	--only-binary :all: --no-binary antlr4-python3-runtime
PLATFORMS := x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin

lock-check: | $(UV) ## look up the lock's wheels for every Python and platform (needs the network)
	@status=0; for platform in $(PLATFORMS); do for version in $(VERSIONS); do \
		MACOSX_DEPLOYMENT_TARGET=14.0 $(UV) $(DRY_INSTALL) --python-version $$version \
			--python-platform $$platform -r requirements.lock \
		&& echo "Python $$version, $$platform: complete" \
		|| { echo "Python $$version, $$platform: see above" >&2; status=1; }; done; done; exit $$status

lock: | $(UV) ## resolve pyproject.toml anew into the two hash-pinned locks, for all Pythons and platforms
	$(UV) $(COMPILE) --extra dev -o requirements.lock
	$(UV) $(COMPILE) --extra dev --extra bench -c requirements.lock -o benchmarks/requirements.lock

clean: ## remove what the pipeline made, but not DVC's cache
	rm -rf data/raw data/clean models reports runs predictions wandb build .pytest_cache .ruff_cache
