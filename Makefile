# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 with its venv module, git and make. `make help` lists all targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# `make venv PYTHON=/path/to/python3.12` uses this interpreter; without PYTHON, the first supported interpreter is used.
PYTHON ?=
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs-installed
# Options of `make chaos`, see docs/chaos.md.
SEEDS ?= 1 2 3
DATABASES ?= sqlite postgresql
MINUTES ?= 10
FAULTS ?= 38
IMAGES ?= 3000
# Options of `make fuzz`, see docs/hostile-input.md.
FUZZ ?= --minutes 60
# Options of `make fuzz-entrances`, see docs/hostile-input.md.
ENTRANCES ?= --count 1000000
# Options of `make mutants`, see docs/mutants.md: groups or paths, and other options.
MODULES ?=
MUTANTS ?= --processes 2
# Options of `make bench-gpu`, see docs/gpu.md.
GPU ?=
# Tests that `make slow` also runs with Keras. With RUNTIME=keras, `make test` and `make slow` run all tests with Keras.
KERAS_TESTS ?= tests/acceptance/test_run_answers.py tests/acceptance/test_run_poison.py tests/acceptance/test_run_bad_input.py tests/acceptance/test_run_real_files.py
ifdef RUNTIME
export NIGHTREAD_RUNTIME = $(RUNTIME)
endif
# Number of processes of `make test`. Tests wait for other processes a third of their time, so three processes keep two
# cores busy. Each process takes up to 1.5 GB of memory.
PROCESSES ?= 3
# Extras of `make hashes`, `make sbom` and `make vulnerabilities`.
EXTRAS ?= worker,postgres,stores
comma := ,
HASHES = build/requirements-$(subst $(comma),-,$(EXTRAS)).txt
RELEASE := build/release-venv
PACKAGES := nightread imaging producer worker delivery models db api cli

# The tools of a release are in their own virtual environment.
$(RELEASE)/.installed: constraints.txt $(STAMP)
	$(BIN)/python -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt cyclonedx-bom pip-audit
	@touch $@

$(HASHES): pyproject.toml constraints.txt tools/hashed_requirements.py $(STAMP)
	@mkdir -p build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
		--report build/pip-report.json --constraint constraints.txt '.[$(EXTRAS)]'
	$(BIN)/python tools/hashed_requirements.py build/pip-report.json > $@.new
	@mv $@.new $@

.PHONY: is-this-python help venv demo test slow bad-night chaos fuzz fuzz-entrances mutants unit check format bench bench-gpu wheel docs hashes sbom vulnerabilities clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

venv: $(STAMP) ## create .venv with all packages for running and testing

$(STAMP): pyproject.toml constraints.txt $(if $(PYTHON),is-this-python)
	@tools/make_venv.sh $(VENV) $(PYTHON)

# A prerequisite that is never up to date: if PYTHON is given, tools/make_venv.sh always checks which Python .venv has.
is-this-python:

demo: venv ## analyse 300 synthetic images with the whole pipeline, and check the results
	$(BIN)/nightread demo

test: venv ## run the test suite without the slow tests; under five minutes on two cores; RUNTIME=keras runs it with Keras
	$(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -m "not slow"

slow: venv ## run the slow tests: training, faults, crashing images, fuzzing; some tests run also with Keras
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "slow and not night"
	$(if $(RUNTIME),,NIGHTREAD_RUNTIME=keras $(BIN)/python -m pytest -n 2 --dist loadfile $(KERAS_TESTS))

bad-night: venv ## break one part after another, and check that each alarm comes and goes; a quarter of an hour
	$(BIN)/python -m pytest -n 0 -m night tests/acceptance

chaos: venv ## inject random faults into the whole system; an hour, or shorter with SEEDS='1 2' MINUTES=2 FAULTS=10 IMAGES=600
	$(BIN)/python -m tests.chaos $(addprefix --seed ,$(SEEDS)) $(addprefix --database ,$(DATABASES)) \
		--minutes $(MINUTES) --faults $(FAULTS) --images $(IMAGES)

fuzz: venv ## read mutated files as a worker does; an hour; other options with FUZZ='--count 10000 --seed 2'
	$(BIN)/python -m tests.fuzz $(FUZZ)

fuzz-entrances: venv ## try a million mutations at all entrances; run it again to resume; other options with ENTRANCES='--count 20000 --seed 2'
	$(BIN)/python -m tests.fuzz.entrances $(ENTRANCES)

mutants: venv ## change the code in thousands of small ways, and check that a test fails; an hour, or shorter with MODULES='routing imaging/voi.py' MUTANTS='--sample 20'
	$(BIN)/python -m tests.mutants $(MUTANTS) $(MODULES)

unit: venv ## run the unit tests; they take seconds and start no servers
	$(BIN)/python -m pytest tests/unit

check: venv ## check format, lint, types and imports, and that each collection finds the same tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.collect_twice

format: venv ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv ## measure the speed budget; half an hour on an idle machine
	$(BIN)/python -m benchmarks

# Without a virtual environment the benchmark runs with python3, and says which packages are missing for its rows.
bench-gpu: ## measure networks, decoding and the pipeline on a GPU host, in under eight minutes; without a GPU, a rehearsal with tiny counts
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m benchmarks.gpu $(GPU); else python3 -m benchmarks.gpu $(GPU); fi

wheel: venv ## build the wheel and try it in a new environment, without and with TensorFlow
	tools/try_wheel.sh $(BIN)/python

docs: $(DOCS_STAMP) ## build the documentation site in build/docs; a broken link or reference is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "The site is in build/docs: open build/docs/index.html."

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

hashes: $(HASHES) ## write build/requirements-*.txt: all packages with versions and hashes, for this Python and platform; other extras with EXTRAS=gpu,postgres
	@echo "$(HASHES): pip install --require-hashes --requirement $(HASHES), then the wheel of nightread with --no-deps"

sbom: $(HASHES) $(RELEASE)/.installed ## write build/sbom.json: all packages of a release in the format CycloneDX
	$(RELEASE)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-format JSON --output-file build/sbom.json $(HASHES)
	@echo "The bill of materials is in build/sbom.json."

vulnerabilities: $(HASHES) $(RELEASE)/.installed ## compare all packages of a release with the published vulnerabilities; needs the internet
	tools/audit_packages.sh $(RELEASE)/bin/pip-audit $(HASHES)

clean: ## delete everything that was built; state folders are kept
	rm -rf $(VENV) dist build/docs build/doctrees build/sbom.json build/requirements-*.txt $(RELEASE) .pytest_cache .mypy_cache .ruff_cache
