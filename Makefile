# `make demo` and `make test` do all their own set-up, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXAMPLE := examples/policies/01-engineering-and-operations

.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports unit soak bench format clean

help: ## Show what can be made.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Postern needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## Prove a policy offline, then run the network that enforces it, on this machine.
	$(BIN)/policy test $(EXAMPLE).hujson --inventory $(EXAMPLE).inventory.json
	$(BIN)/postern demo

test: lint types imports unit ## Linters, types, import rules and every test that this machine can run.

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not soak"

soak: $(STAMP) ## Bulk runs and soaks: minutes to hours.
	$(BIN)/python -m pip install --quiet --editable '.[soak]'
	$(BIN)/python -m pytest -m soak

bench: $(STAMP) ## Benchmarks, side by side with what they are compared to; python -m bench.NAME runs one.
	for name in policy datapath control relay agent; do $(BIN)/python -m bench.$$name || exit 1; done

format: $(STAMP) ## Rewrite the sources in the project's format.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove everything that was built or installed here.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
