.DEFAULT_GOAL := help
.PHONY: help setup run format check test bench lock lives crash-points simulate planted
PYTHON ?= python3
BIN := .venv/bin
DOCS ?=

help:    ## Say what each target does
	@grep -E '^[a-z-]+: +.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Pinned and hashed, and naming no package index, so that they install from whichever one is configured.
.venv/.run: pyproject.toml requirements/run.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/.ready: .venv/.run requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@touch $@

.venv/.bench: .venv/.ready requirements/bench.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/bench.txt
	@touch $@

setup: .venv/.ready  ## Create .venv with everything a developer needs

run: .venv/.run  ## Run the document pipeline over the distributions installed in .venv, or over DOCS=folder
	$(BIN)/dramaturg ingest $(if $(DOCS),"$(DOCS)",--installed) --data var

format: .venv/.ready  ## Rewrite the code in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

check: .venv/.ready  ## Everything that can be known without running the code
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/vulture
	$(BIN)/codespell

test: .venv/.ready  ## Run the tests on every core and measure their coverage
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal --cov

lives: .venv/.ready  ## Start and stop a system a thousand times and look for what it leaves
	DRAMATURG_LIVES=1000 $(BIN)/python -m pytest tests/runtime/test_guest.py --timeout 600

crash-points: .venv/.ready  ## Crash a long life of a log at every write, sync and truncate (half an hour)
	DRAMATURG_CRASH_POINTS=long $(BIN)/python -m pytest tests/log/test_crash_points.py --numprocesses auto --dist worksteal

bench: .venv/.bench  ## Measure speed against floors and peers of the same run, a JSON line each
	for name in log actors breakers pipelines; do $(BIN)/python -m benchmarks.$$name || exit 1; done

simulate: .venv/.ready  ## Crash whole systems under SEEDS=2000 seeds from FIRST=0 on, or trace one: SEED=123
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED) --trace,--seeds $(or $(SEEDS),2000) --first $(or $(FIRST),0))

planted: .venv/.ready  ## See that the simulation finds every fault that is planted in it
	$(BIN)/python -m tests.simulation --planted all

lock: .venv/.ready  ## Resolve the requirements files anew (needs uv on the PATH)
	uv pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --output-file requirements/dev.txt
	uv pip compile pyproject.toml --extra daemon --extra documents --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --constraint requirements/dev.txt --output-file requirements/run.txt
	uv pip compile pyproject.toml --group bench --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --constraint requirements/dev.txt --output-file requirements/bench.txt
