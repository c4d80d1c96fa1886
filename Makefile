.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-install faults bench check lint types layers format coverage lock clean

# The first Python on this machine that is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Nothing is written outside this folder and the temp directory.
export PIP_NO_CACHE_DIR := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# One folder for each lock file. The stamp is written last, so a broken installation is made again.
.venv/installed: requirements.lock
.venv-lowest/installed: requirements-lowest.lock
.venv/installed .venv-lowest/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one or run make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "making $(@D) from $(filter %.lock,$^) ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --require-hashes --only-binary :all: -r $(filter %.lock,$^)
	@$(@D)/bin/pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: .venv/installed ## run the whole route on a simulated community and print its best day
	@$(BIN)/participation demo

# Several processes, each with servers of its own; the tests of one file stay together.
PYTEST := pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile

test: .venv/installed ## all tests, on servers that they start themselves
	$(BIN)/$(PYTEST)

test-lowest: .venv-lowest/installed ## all tests but the faults, with the lowest versions of all dependencies
	.venv-lowest/bin/$(PYTEST) --ignore=tests/faults

test-install: .venv/installed ## build the wheel; publish with the base install alone; run the demo from the wheel
	$(BIN)/python -m tests.install

# SEED: what the bots send and when faults happen. MINUTES or EVENTS: a random sequence of faults instead of the matrix.
SEED ?= 1
MINUTES ?=
EVENTS ?=

faults: .venv/installed ## every fault on real servers under load; SEED=… and MINUTES=… or EVENTS=… for random ones
ifeq ($(MINUTES)$(EVENTS),)
	SEED=$(SEED) $(BIN)/pytest tests/faults -m "matrix or not matrix"
else
	$(BIN)/python -m tests.faults.storm --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(EVENTS),--events $(EVENTS))
endif

# What participation is measured beside has an environment of its own: celery-batches asks for an older Celery.
STOCK := benchmarks/.venv-stock
QUICK ?=
PARTS ?=

$(STOCK)/installed: benchmarks/requirements-stock.lock
	@echo "making $(STOCK) from $< ..."
	@rm -rf $(STOCK)
	@$(PYTHON) -m venv $(STOCK)
	@$(STOCK)/bin/pip install --quiet --require-hashes --only-binary :all: -r $<
	@touch $@

bench: .venv/installed $(STOCK)/installed ## measure beside other ways; QUICK=1 only shows that it works; PARTS="drain …"
	@$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick) $(PARTS)

check: format lint types layers coverage ## everything that must hold before a commit

format: .venv/installed ## formatting, as ruff has it
	$(BIN)/ruff format --check .

lint: .venv/installed ## ruff's rules
	$(BIN)/ruff check .

types: .venv/installed ## mypy, strict
	$(BIN)/mypy

layers: .venv/installed ## imports point one way
	$(BIN)/lint-imports

coverage: .venv/installed ## the tests with branch coverage, which must be at least 90 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

# The lowest versions that pyproject.toml allows, with today's development tools. aiogram[redis] is beside them, because
# it needs a redis below 8.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## write all lock files anew (needs uv)
	$(LOCK) --all-extras --group dev pyproject.toml --output-file requirements.lock
	{ $(PYTHON) .ci/development_tools.py; echo 'aiogram[redis]'; } | $(LOCK) --resolution lowest-direct \
		--all-extras pyproject.toml - --output-file requirements-lowest.lock
	$(LOCK) benchmarks/requirements-stock.in --output-file benchmarks/requirements-stock.lock

clean: ## remove what make made
	rm -rf .venv .venv-lowest $(STOCK) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
