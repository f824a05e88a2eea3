# Every target makes its own set-up: git, make and Python 3.11 or newer are enough.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_READY := $(VENV)/.ready-for-demos
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 18

# The demos need a part of what development needs, and a stranger waits for them.
$(DEMO_READY): requirements/demo.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing" >&2; exit 1; }
	$(PIP) --require-hashes -r requirements/demo.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(READY): $(DEMO_READY) requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: venv
venv: $(READY) ## Make the virtual environment

.PHONY: demo
demo: $(DEMO_READY) ## Watch the main job on an embedded cluster, in under a minute
	@$(BIN)/python -m tests.demo embedded

.PHONY: demo-real
demo-real: $(DEMO_READY) ## The same story on a real cluster with real Tekton on this machine
	@$(BIN)/python -m tests.demo real

.PHONY: lint
lint: $(READY) ## Format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

.PHONY: types
types: $(READY) ## mypy, strict
	$(BIN)/mypy

.PHONY: contracts
contracts: $(READY) ## The import directions
	$(BIN)/lint-imports

.PHONY: unit
unit: $(READY) ## Pure and fast
	$(PYTEST) tests/unit tests/proxy tests/chaos --timeout 20

.PHONY: component
component: $(READY) ## The whole program against the in-process cluster
	$(PYTEST) tests/component --timeout 60

# Before the tests, whose own time limits are no measure of a build, and where its progress is seen.
.PHONY: binaries
binaries: $(READY) ## Build what the real cluster runs: 7 to 12 minutes once, then nothing
	$(BIN)/python -m tests.stack build --parts full

.PHONY: integration
integration: binaries ## Real apiserver, etcd and controller-manager; the test plays Tekton
	$(PYTEST) tests/integration --timeout 300

.PHONY: e2e
e2e: binaries ## Real Tekton, real containers
	$(PYTEST) tests/e2e --timeout 600

.PHONY: check
check: lint types contracts ## The fast inner loop: no cluster
	$(PYTEST) tests/unit tests/proxy tests/chaos tests/component --timeout 60

.PHONY: coverage
coverage: $(READY) ## Branch coverage of the whole package; domain, api and runtime at 100 %
	rm -f .coverage .coverage.*
	$(PYTEST) tests/unit tests/proxy tests/chaos tests/component --timeout 60 --cov --cov-report=
	$(BIN)/coverage report --fail-under=90
	$(BIN)/coverage report --fail-under=100 \
	  --include='workflowexecution/domain/*,workflowexecution/api/*,workflowexecution/runtime/*'

# Much of the time is spent waiting for clusters: three processes keep two processors at work. An argument of one's
# own (SHARED=) runs one process.
SHARED ?= --numprocesses 3 --dist loadscope --no-loadscope-reorder

.PHONY: test
# pytest's closing line is the last that is printed.
test: lint types contracts binaries ## Everything CI runs: static checks and all four suites
	rm -f .coverage .coverage.*
	WFE_TEST_WALKS=200 $(PYTEST) tests/unit tests/proxy tests/chaos tests/component tests/integration tests/e2e -m 'not long' \
	  --timeout 600 --cov --cov-report= $(SHARED)
	@$(BIN)/coverage report --fail-under=90 > .coverage-report.txt || { cat .coverage-report.txt; exit 1; }
	@$(BIN)/coverage report --fail-under=100 \
	  --include='workflowexecution/domain/*,workflowexecution/api/*,workflowexecution/runtime/*' \
	  > .coverage-report.txt || { cat .coverage-report.txt; exit 1; }

# What is done for a state of the tree is not done again, so that an interrupted one goes on.
DONE = .test-all/$(shell { git rev-parse HEAD; git status --porcelain; git diff HEAD; } | sha256sum | head -c 12)

.PHONY: test-all
test-all: binaries ## make test and what is marked long; goes on where it was interrupted
	@mkdir -p $(DONE)
	@test -e $(DONE)/test || { $(MAKE) test && touch $(DONE)/test; }
	@test -e $(DONE)/long || \
	  { WFE_TEST_RESUME=$(DONE) $(PYTEST) tests -m long --timeout 1800 && touch $(DONE)/long; }

LASTS ?= 1800
.PHONY: soak
soak: binaries ## A fault each ten seconds for LASTS=1800 seconds; prints how memory and open files behave
	WFE_TEST_SOAK_S=$(LASTS) $(PYTEST) tests/integration/test_soak.py -m long --log-cli-level WARNING

ROUNDS ?= 10

.PHONY: chaos
chaos: binaries ## ROUNDS=300 [SEED=1]: three controllers, deaths and faults by chance; goes on after the last one
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED))

.PHONY: record
record: binaries ## Record all failures of real Tekton again, into tests/golden
	$(BIN)/python -m tests.stack record --all --tekton v1.9.6
	$(BIN)/python -m tests.stack record --all --tekton v1.15.1

.PHONY: bench
bench: $(READY) ## Throughput, latency, CPU, requests and memory beside the reactive floor
	@$(BIN)/python -m tests.benchmark

.PHONY: bench-all
bench-all: $(READY) ## All scenarios of the benchmark, medians of three: some hours
	@$(BIN)/python -m tests.benchmark --suite --repeat 3

.PHONY: crd
crd: $(READY) ## Write manifests/crd from the models
	$(BIN)/python -m workflowexecution.crd

ENGINE ?= $(shell command -v docker || command -v podman || command -v buildah)
IMAGE ?= localhost/workflowexecution-controller:dev
VERSION = $(shell $(BIN)/python -m hatchling version)

# On images of Docker's registry; the tests build on images of their own, without any.
.PHONY: image
image: $(READY) ## Build the image with docker, podman or buildah (needs the internet); IMAGE=, BASE_IMAGE=, RUNTIME_IMAGE=
	$(ENGINE) build --tag $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
	  $(foreach it,BASE_IMAGE RUNTIME_IMAGE,$(if $($(it)),--build-arg $(it)=$($(it)))) .

RELEASE := $(VENV)-release
$(RELEASE)/.ready: requirements/release.txt requirements/tracing.txt
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.txt
	$(PYTHON) -m venv --clear $(RELEASE)/of
	$(RELEASE)/of/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tracing.txt
	@touch $@

.PHONY: release
release: $(READY) $(RELEASE)/.ready ## Into dist/: the wheel, its bill of materials, the licences of what it needs
	rm -rf dist && mkdir dist
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	$(RELEASE)/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
	  --of JSON -o dist/sbom.cdx.json $(RELEASE)/of/bin/python
	$(RELEASE)/bin/pip-licenses --python $(RELEASE)/of/bin/python --format=markdown --with-urls \
	  --output-file=dist/licences.md

# There is no database to ask without the internet.
.PHONY: audit
audit: $(RELEASE)/.ready ## Known vulnerabilities of what is locked, as PyPI tells them (needs the internet)
	$(RELEASE)/bin/pip-audit --require-hashes --disable-pip -r requirements/tracing.txt

.PHONY: chart
chart: $(READY) ## Write the Helm chart from the manifests
	$(BIN)/python -m tests.support.chart

.PHONY: docs
docs: $(READY) ## Write the pages that have a source: requirements, failures, security, API, linter
	$(BIN)/python -m tests.support.requirements
	$(BIN)/python -m tests.golden.document
	$(BIN)/python -m tests.support.posture
	$(BIN)/python -m tests.support.apipage
	$(BIN)/python -m tests.support.linterpage

.PHONY: monitoring
monitoring: $(READY) ## Write manifests/monitoring/prometheusrule.yaml from rules.yaml
	$(BIN)/python -m tests.monitoring rule

.PHONY: site
site: $(READY) ## Build the site of the documents into .site/html; fetches nothing
	$(BIN)/python -m tests.support.site

.PHONY: lock
lock: ## Resolve requirements/*.in again (needs uv)
	cd requirements && for name in build runtime demo tracing dev release; do uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header $$name.in -o $$name.txt; done

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf $(VENV) $(RELEASE) dist .site .tox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* .test-all
