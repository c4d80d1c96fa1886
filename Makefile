.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-install test-system faults bench check lint types layers format coverage lock clean

# The first Python on this machine that is version 3.11 or later.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# No cache: make writes only into this folder and the temporary folder.
export PIP_NO_CACHE_DIR := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# One folder for each lock file. The stamp file is written last, so that an incomplete installation starts again.
.venv/installed: requirements.lock
.venv-lowest/installed: requirements-lowest.lock
.venv/installed .venv-lowest/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python >= 3.11 found; install one, or run make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "creating $(@D) from $(filter %.lock,$^) ..."
	@rm -rf $(@D)
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --require-hashes --only-binary :all: -r $(filter %.lock,$^)
	@$(@D)/bin/pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: .venv/installed ## run a simulated community on temporary servers and print its best day
	@$(BIN)/participation demo

# Several processes, each with its own servers. All tests of one file run in the same process.
PYTEST := pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile

test: .venv/installed ## run all tests; they start their own servers
	$(BIN)/$(PYTEST)

# These tests are left out, because no version of a dependency changes their results.
NOT_LOWEST := batch_counts bot_members commands days dead_letters doctor documentation highlights local_servers meanings \
	named_digest non_users options parts presence privacy privileges shown_names up zones

# PostgreSQL's sessions are in another time zone than in `test`: no result may depend on it.
test-lowest: .venv-lowest/installed ## run tests with the lowest versions of all dependencies
	TEST_SESSION_ZONE=UTC .venv-lowest/bin/$(PYTEST) tests/integration tests/unit $(NOT_LOWEST:%=--ignore=tests/integration/test_%.py)

test-install: .venv/installed ## build the wheel, publish with the base install alone, and run the demo
	$(BIN)/python -m tests.install

# First the programs: with one missing, nothing is tested.
test-system: .venv/installed ## test with Debian's PgBouncer, PostgreSQL 15, Redis 7, Node and systemd
	@$(BIN)/python -m tests.system.programs > /dev/null
	$(BIN)/$(PYTEST) tests/system

# SEED decides what the bots send and when faults happen. MINUTES or EVENTS selects a random sequence of faults.
SEED ?= 1
MINUTES ?=
EVENTS ?=

faults: .venv/installed ## test every fault on real servers; MINUTES=… or EVENTS=…, and SEED=…: random faults
ifeq ($(MINUTES)$(EVENTS),)
	SEED=$(SEED) $(BIN)/pytest tests/faults -m "matrix or not matrix"
else
	$(BIN)/python -m tests.faults.storm --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(EVENTS),--events $(EVENTS))
endif

# The alternatives in the benchmark have their own environment, because celery-batches needs an older Celery.
STOCK := benchmarks/.venv-stock
QUICK ?=
PARTS ?=

$(STOCK)/installed: benchmarks/requirements-stock.lock
	@echo "creating $(STOCK) from $< ..."
	@rm -rf $(STOCK)
	@$(PYTHON) -m venv $(STOCK)
	@$(STOCK)/bin/pip install --quiet --require-hashes --only-binary :all: -r $<
	@touch $@

bench: .venv/installed $(STOCK)/installed ## compare speed with alternatives; QUICK=1: a short check; PARTS="drain …"
	@$(BIN)/python -m benchmarks.bench $(if $(QUICK),--quick) $(PARTS)

check: format lint types layers coverage ## run all checks that must pass before a commit

format: .venv/installed ## check the format with ruff
	$(BIN)/ruff format --check .

lint: .venv/installed ## check the rules of ruff
	$(BIN)/ruff check .

types: .venv/installed ## check types with mypy, strict
	$(BIN)/mypy

layers: .venv/installed ## check that imports between packages point one way
	$(BIN)/lint-imports

coverage: .venv/installed ## run all tests; branch coverage must be at least 90 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

# The lowest versions that pyproject.toml allows, with today's development tools. aiogram[redis] is beside them, because
# it needs a redis below 8. click is what the lowest Celery was made with: with a later one it uses deprecated functions.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: ## write all lock files again (needs uv)
	$(LOCK) --all-extras --group dev pyproject.toml --output-file requirements.lock
	{ $(PYTHON) .ci/development_tools.py; echo 'aiogram[redis]'; echo 'click==8.1.7'; } | $(LOCK) --resolution lowest-direct \
		--all-extras pyproject.toml - --output-file requirements-lowest.lock
	$(LOCK) benchmarks/requirements-stock.in --output-file benchmarks/requirements-stock.lock

clean: ## remove all files that make created
	rm -rf .venv .venv-lowest $(STOCK) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
