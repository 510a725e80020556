# `make demo` and `make test` do all set-up themselves: a virtual environment in .venv, from hashed locks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
ROUNDS ?= 10
SEEDS ?= 20

.PHONY: demo test fuzz mutate simulation check bench benches lock contract clean

demo: $(VENV)/.runtime
	$(BIN)/mohawk demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(TESTS) -n auto --dist loadgroup

fuzz: $(VENV)/.dev
	for round in $$(seq $(ROUNDS)); do MOHAWK_FUZZ=1 $(BIN)/python -m pytest tests/properties -n auto || exit 1; done

mutate: $(VENV)/.dev
	$(BIN)/python scripts/mutate.py

simulation: $(VENV)/.dev
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --sessions 10000 --workers 50

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_contract.py --check
	$(BIN)/python scripts/generate_settings.py --check

# In an environment of its own: what plots brings packages that a worker should not find.
bench:
	$(MAKE) VENV=.venv-bench benches

benches: $(VENV)/.bench
	$(BIN)/python -m bench

lock: $(VENV)/.dev
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/lock.sh

contract: $(VENV)/.dev
	$(BIN)/python scripts/generate_contract.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info

# torch comes second and unhashed: one version, but a build that differs by machine (CPU or CUDA).
$(VENV)/.runtime: requirements/runtime.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mohawk needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install --disable-pip-version-check --quiet -r requirements/torch.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	$(BIN)/pip install --disable-pip-version-check --quiet --require-hashes -r requirements/bench.txt
	touch $@
