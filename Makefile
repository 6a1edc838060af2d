# `make demo` and `make test` need Python 3.11 or 3.12, git and make. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# The first interpreter that really runs and is new enough; `make PYTHON=/path/to/python3.12 venv` overrides.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed
# What `make chaos` does: docs/chaos.md.
SEEDS ?= 1 2 3
DATABASES ?= sqlite postgresql
MINUTES ?= 10
FAULTS ?= 38
IMAGES ?= 3000
# What `make fuzz` does: docs/hostile-input.md.
FUZZ ?= --minutes 60
PACKAGES := nightread imaging producer worker delivery models db cli

.PHONY: help venv demo test slow chaos fuzz unit check format bench docs clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

venv: $(STAMP) ## make .venv with everything for running and testing

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 was not found: install it, or make PYTHON=/path/to/python venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: venv ## 300 synthetic scans through the whole pipeline, checked against their truth
	$(BIN)/nightread demo

test: venv ## the test suite; under five minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

slow: venv ## the tests that take long: networks trained again, faults, poison, fuzzing
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

chaos: venv ## the whole system hurt at random moments, an hour; SEEDS='1 2' MINUTES=2 FAULTS=10 IMAGES=600 make it shorter
	$(BIN)/python -m tests.chaos $(addprefix --seed ,$(SEEDS)) $(addprefix --database ,$(DATABASES)) \
		--minutes $(MINUTES) --faults $(FAULTS) --images $(IMAGES)

fuzz: venv ## mutated files read as a worker reads them, an hour; FUZZ='--count 10000 --seed 2' for others
	$(BIN)/python -m tests.fuzz $(FUZZ)

unit: venv ## the tests that need no process and take seconds
	$(BIN)/python -m pytest tests/unit

check: venv ## formatting, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv ## the speed budget, measured: half an hour on a quiet machine
	$(BIN)/python -m benchmarks

docs: $(DOCS_STAMP) ## the documentation as a site in build/docs; a broken link or reference is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "The site is in build/docs: open build/docs/index.html."

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

clean: ## remove what was built; state folders stay
	rm -rf $(VENV) dist build/docs build/doctrees .pytest_cache .mypy_cache .ruff_cache
