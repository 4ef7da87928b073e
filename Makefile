# Every command of the project. `make` alone prints them; each one sets up what it needs first.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install servers demo run test quick check fuzz bench migration lock clean

PY := .venv/bin/python
N ?= 20000
WORKERS ?= 2
m ?=

help:  ## print this list
	@grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 12

install:  ## .venv from requirements-dev.lock, with this tree installed in it (instant when nothing changed)
	@scripts/setup.sh python

servers:  ## the Debian servers the tests use: installed when root, else listed
	@scripts/setup.sh servers

demo: install  ## the whole story against the sandbox; no account needed; Ctrl-C removes everything
	@.venv/bin/twinbox demo $(ARGS)

run: install  ## serve with your own settings (TWINBOX_*)
	@.venv/bin/twinbox serve $(ARGS)

test: install servers check  ## everything CI runs: check, the demo's tour, all tests with real servers
	@.venv/bin/twinbox demo --tour
	@$(PY) -m pytest -n $(WORKERS) $(ARGS)

quick: check  ## check + unit + property + conformance without real servers (about a minute)
	@$(PY) -m pytest -n $(WORKERS) -m 'not servers' tests/unit tests/property tests/conformance tests/test_*.py $(ARGS)

check: install  ## ruff, format, mypy --strict, import contracts
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

fuzz: install  ## property tests with N examples each: make fuzz N=20000
	@$(PY) -m pytest -n $(WORKERS) --examples $(N) tests/property $(ARGS)

bench: install servers  ## the measurements of benchmarks/: contacts, calendar, then mail
	@$(PY) -m benchmarks.bench_contacts
	@$(PY) -m benchmarks.bench_calendar
	@$(PY) -m benchmarks.bench_mail $(ARGS)

migration: install  ## draft a revision from the models: make migration m="add tags"
	@test -n "$(m)" || { echo 'say what it does: make migration m="add tags"' >&2; exit 2; }
	@scripts/migration.sh "$(m)"

lock: install  ## pin all dependencies again (needs uv)
	@scripts/lock.sh

clean:  ## remove .venv, caches and build results
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
