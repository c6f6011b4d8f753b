# Every target works on a fresh checkout: what it needs is installed into .venv from requirements.lock first.
.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PORT ?= 4566
PROFILE ?= full
CORPUS ?= aws
QUESTIONS ?=
SEED ?= 1
SECONDS ?= 240
ROOT ?= .rehearsal
BIN := .venv/bin
# These start processes: a fleet, the emulated AWS, a whole rehearsal.
SLOW_TESTS := tests/wire tests/e2e
# These measure time or memory, or use both processors: nothing runs beside them.
ALONE_TESTS := tests/wire/test_load_gate.py tests/wire/test_load_of_vectors.py tests/wire/test_memory.py
# Two processes share the files: each file's fixtures (a recorded program, a fleet) are made once.
TEST := $(BIN)/python -m pytest -n 2 --dist loadfile
FAST_TESTS := $(TEST) $(addprefix --ignore=,$(SLOW_TESTS))
COMMAND := $(BIN)/vectorfleet
INSTALLED := .venv/.installed
# Every extra but `bulk`, which few need.
EXTRAS := service onnx traces infra loadtests runbooks rehearsal dev
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

.PHONY: help venv rehearse test test-fast hostile lint types check up status logs down artifact bulk lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(COMMAND) ## Install everything into .venv; hashes are checked, the compiler builds hnswlib.

# The checkout itself, from what the lock has brought; pip asks no index.
$(COMMAND): $(INSTALLED) pyproject.toml
	@$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || \
		{ echo "'$(PYTHON)' is not Python 3.11 or 3.12. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@command -v c++ >/dev/null || { echo "There is no C++ compiler (c++), and hnswlib is compiled at installation. Install g++ or clang."; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

rehearse: venv ## The main job: plan, deploy, ingest, search, load, break, recover, report. PROFILE=short|acceptance, CORPUS=python, PORT=n.
	@$(COMMAND) rehearse --root $(ROOT) --port $(PORT) --profile $(PROFILE) \
		--corpus $(CORPUS) $(if $(QUESTIONS),--questions $(QUESTIONS))

test: venv ## Every test: the fast ones first, then those that start processes.
	@trap 'exit 130' INT; status=0; $(FAST_TESTS) || status=$$?; \
	$(COMMAND) artifact || echo "so the tests that boot a machine from it are skipped"; \
	$(TEST) tests/wire $(addprefix --ignore=,$(ALONE_TESTS)) || status=$$?; \
	$(BIN)/python -m pytest $(ALONE_TESTS) tests/e2e || status=$$?; exit $$status

test-fast: venv ## The tests that start no fleet and no emulated AWS.
	@$(FAST_TESTS)

hostile: venv ## Break a rehearsal of its own by a seeded schedule, and judge it. SEED=n, SECONDS=n.
	@$(BIN)/python -m tests.e2e.hostile --seed $(SEED) --seconds $(SECONDS)

lint: venv ## Style and format.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: venv ## Strict types.
	@$(BIN)/mypy

check: lint types test ## All of the above.

up: venv ## Start a rehearsal that stays up, to play with.
	@$(COMMAND) up --root $(ROOT) --port $(PORT)

status: venv ## What runs.
	@$(COMMAND) status --root $(ROOT)

logs: venv ## The log files; NAME=router shows the end of those with router in their name.
	@$(COMMAND) logs --root $(ROOT) $(NAME)

down: venv ## Destroy the deployed stack and end every process.
	@$(COMMAND) down --root $(ROOT)

artifact: venv ## Build the wheels that instances on AWS install, into dist/; needs Linux x86-64 and Python 3.11.
	@$(COMMAND) artifact

bulk: venv ## Install Ray too, for `vectorfleet embed` with workers.
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bulk.lock

lock: venv ## Resolve the locks anew, from pyproject.toml and requirements-build.in.
	@$(BIN)/python -m pip install --quiet pip-tools
	@$(COMPILE) $(addprefix --extra=,$(EXTRAS)) -o requirements.lock pyproject.toml
	@$(COMPILE) --extra=bulk --constraint=requirements.lock -o requirements-bulk.lock pyproject.toml
	@$(COMPILE) -o requirements-build.lock requirements-build.in

clean: ## Remove what was installed, built and left by rehearsals.
	rm -rf .venv $(ROOT) dist
