# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 with its venv module, git and make. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# `make venv PYTHON=/path/to/python3.12` makes the environment with this interpreter; else the first that fits is taken.
PYTHON ?=
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

.PHONY: is-this-python help venv demo test slow chaos fuzz unit check format bench wheel docs clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

venv: $(STAMP) ## make .venv with everything for running and testing

$(STAMP): pyproject.toml constraints.txt $(if $(PYTHON),is-this-python)
	@tools/make_venv.sh $(VENV) $(PYTHON)

is-this-python:

demo: venv ## 300 synthetic scans through the whole pipeline, checked against their truth
	$(BIN)/nightread demo

test: venv ## the test suite; under five minutes on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

slow: venv ## the tests that take long: networks trained again, faults, poison, fuzzing
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m slow

chaos: venv ## the whole system hurt at random moments, an hour; SEEDS='1 2' MINUTES=2 FAULTS=10 IMAGES=600 make it shorter
	$(BIN)/python -m tests.chaos $(addprefix --seed ,$(SEEDS)) $(addprefix --database ,$(DATABASES)) \
		--minutes $(MINUTES) --faults $(FAULTS) --images $(IMAGES)

fuzz: venv ## mutated files read as a worker reads them, an hour; FUZZ='--count 10000 --seed 2' for others
	$(BIN)/python -m tests.fuzz $(FUZZ)

unit: venv ## the tests that need no process and take seconds
	$(BIN)/python -m pytest tests/unit

check: venv ## formatting, lint, types, imports, and the same tests in each collection
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.collect_twice

format: venv ## put the code into its format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv ## the speed budget, measured: half an hour on a quiet machine
	$(BIN)/python -m benchmarks

wheel: venv ## build the wheel and use it in an empty environment, without and with TensorFlow
	tools/try_wheel.sh $(BIN)/python

docs: $(DOCS_STAMP) ## the documentation as a site in build/docs; a broken link or reference is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "The site is in build/docs: open build/docs/index.html."

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

clean: ## remove what was built; state folders stay
	rm -rf $(VENV) dist build/docs build/doctrees .pytest_cache .mypy_cache .ruff_cache
