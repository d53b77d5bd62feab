# Hawser's one task runner. `make` alone prints what there is.
# Nothing is presumed but make, a C compiler and Python 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # the order of the checks is theirs: cheapest first
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

# Tests start Python hundreds of times: what is compiled once is kept, whatever the shell around says.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell scripts/pythons | head -n 1)
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps

# SEEDS=1500 runs that many whole systems, SEED=8123 replays one; VERIFY_SEEDS is the long form. WORLDS=100 runs that
# many seeds of every world of the runtime.
SEEDS        ?= 1500
VERIFY_SEEDS ?= 5000

# BENCH=peers runs that one alone.
BENCH ?= micro macro peers polls channels

# What programs import: every name in it has one type for every checker.
TYPED := hawser_engine hawser_transports hawser hawser_conformance

say = @printf '\033[1m== %s\033[0m\n' $(1)

.PHONY: help
help: ## what you are reading
	@echo 'Hawser: a session survives every broken connection. Start with `make run`.'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "ARGS='...' is handed to the command behind run, demo, unit, slow, simulate and bench."

# ---------------------------------------------------------------- environment

.PHONY: install
install: $(STAMPS)/python $(STAMPS)/system $(STAMPS)/javascript $(STAMPS)/pyright ## make .venv with everything; quick when nothing changed

$(BIN)/python:
	$(call say,"creating $(VENV) with $(PYTHON)")
	@test -n "$(PYTHON)"
	@rm -rf $(VENV) && "$(PYTHON)" -m venv $(VENV)

# pip 25.1 was the first to install dependency groups.
$(STAMPS)/python: pyproject.toml | $(BIN)/python
	$(call say,"installing hawser and its tools into $(VENV)")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[cli]' --group dev
	@mkdir -p $(STAMPS) && touch $@

# Spin generates the verifier of protocol_spec/models, a C compiler compiles it.
$(STAMPS)/system: scripts/install-system | $(BIN)/python
	@scripts/install-system
	@mkdir -p $(STAMPS) && touch $@

# The client in another language, for tests/interop: its packages as the lock file has them.
$(STAMPS)/javascript: tests/interop/javascript/package-lock.json $(STAMPS)/system
	$(call say,"installing the packages of the JavaScript client")
	@cd tests/interop/javascript && npm ci --silent
	@touch $@

# The first start of pyright fetches what it lacks: here, not in the middle of the checks.
$(STAMPS)/pyright: $(STAMPS)/python
	@$(BIN)/pyright --version >$@ || { rm -f $@; echo 'pyright does not start: see the lines above; `rm -r .venv && make install` starts afresh' >&2; exit 1; }

# ---------------------------------------------------------------- run

.PHONY: run
run: install ## a server on this machine, and three commands to try on it
	@$(BIN)/hawser serve $(ARGS)

.PHONY: demo
demo: install ## messages through links that keep breaking, counted
	@$(BIN)/hawser demo $(ARGS)

# ---------------------------------------------------------------- checks, cheapest first

.PHONY: test
test: environments lint spec unit slow pythons ## every check; what CI runs
	$(call say,"all checks passed")

# All environments beside one another. If one of the other Pythons fails here, `pythons` tries again and says why.
.PHONY: environments
environments:
	@"$(or $(wildcard $(BIN)/python),$(PYTHON))" scripts/test-pythons.py --environments 2>/dev/null & \
		$(MAKE) install; status=$$?; wait; exit $$status

.PHONY: lint
lint: install ## format, style, types, import contracts
	$(call say,"ruff format")
	@$(BIN)/ruff format --check . || { echo 'fix: make format' >&2; exit 1; }
	$(call say,"ruff check")
	@$(BIN)/ruff check . || { echo 'fix: make format mends what it can; the rest is yours' >&2; exit 1; }
	$(call say,"import contracts")
	@$(BIN)/lint-imports --no-cache --no-logo || { echo 'fix: the rules are [tool.importlinter] in pyproject.toml' >&2; exit 1; }
	$(call say,"types")
	@$(BIN)/python scripts/check-types.py $(TYPED)

.PHONY: format
format: install ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: spec
spec: install ## the specification: clauses, vectors and citations agree
	$(call say,"spec lint")
	@$(BIN)/python -m hawser_conformance lint

.PHONY: unit
unit: install ## the quick tests, with coverage thresholds
	$(call say,"quick tests with coverage")
	@rm -f .coverage .coverage.*
	@HYPOTHESIS_PROFILE=few $(BIN)/pytest -n auto -m 'not slow and not verify' --cov --cov-report= $(ARGS)
	$(call say,"coverage of the engine: every branch")
	@$(BIN)/coverage report --include='engine/*' --fail-under=100 \
		|| { echo 'fix: cover the lines above, or delete what nothing reaches' >&2; exit 1; }
	$(call say,"coverage of the rest: 95 %")
	@$(BIN)/coverage report --omit='engine/*' --fail-under=95 \
		|| { echo 'fix: cover the lines above' >&2; exit 1; }

# Without coverage, which doubles the time of a seed: what only these reach is visited, not tested. So all examples of
# the properties are tried here, the first few with coverage above. Twice as many workers as processors, for the tests
# with real processes mostly wait.
SLOW_WORKERS ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))

.PHONY: slow
slow: install ## the slow tests: the simulator's seeds and planted bugs, properties, real processes, models, the documents' programs
	$(call say,"slow tests")
	@$(BIN)/pytest -n $(SLOW_WORKERS) --dist worksteal -m '(slow or hypothesis) and not verify' $(ARGS)

.PHONY: pythons
pythons: install ## the quick tests on every other Python >= 3.11 of this machine
	$(call say,"quick tests on the other Pythons of this machine")
	@$(BIN)/python scripts/test-pythons.py

.PHONY: orders
orders: install ## the quick tests three times, with tasks in other orders each time
	@for seed in 1 2 3; do HAWSER_TEST_SEED=$$seed HYPOTHESIS_PROFILE=few \
	    $(BIN)/pytest -n auto -q -m 'not slow and not verify' $(ARGS) || exit 1; done

.PHONY: verify
verify: install ## the long form, half an hour: many seeds, every planted bug, large models; writes its report
	@VERIFY_SEEDS=$(VERIFY_SEEDS) $(BIN)/python scripts/verify.py

.PHONY: simulate
simulate: install ## whole systems by seed: SEEDS=1500, SEED=8123 to replay one, or WORLDS=100 of the whole runtime
	@$(BIN)/python -m tests.simulation$(if $(WORLDS),.worlds --seeds $(WORLDS),$(if $(SEED), --seed $(SEED), --seeds $(SEEDS))) $(ARGS)

# ---------------------------------------------------------------- figures, documents

# BENCH=micro ARGS=broadcast runs one suite, and of it what has that in its name.
.PHONY: bench
bench: install ## all benchmarks, half an hour on a quiet machine; benchmarks/README.md says how they measure
	@for suite in $(BENCH); do $(BIN)/python -m benchmarks.$$suite $(ARGS) || exit; done

.PHONY: docs
docs: install ## write the tables of the reference, and build the documents into site/
	@$(BIN)/python scripts/reference.py
	@$(BIN)/zensical build --clean --strict

.PHONY: clean
clean: ## remove everything that make made
	@rm -rf $(VENV) $(VENV)-* tests/interop/javascript/node_modules site build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis .cache
