# `make help` prints this file's targets; each does its own set-up.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: help setup demo test full run-tests slow check format

# Of `run-tests`.
LEFT_OUT := slow

help: ## print the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## prepare .venv with everything the project needs

$(STAMP): pyproject.toml
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(RUN)/uv pip install --quiet --python $(RUN)/python --editable '.[dev]'
	@touch $@

demo: setup ## stylize a sample corpus with embedded weights, no download
	@$(RUN)/atelier demo

test: LEFT_OUT := slow or long
test: run-tests ## run the tests but for the long and the slow ones: a quarter of an hour

full: run-tests ## run the long ones too, as CI does: half an hour

run-tests: setup
	@OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n 2 --dist loadfile -m "not ($(LEFT_OUT)) and not ray and not prefect"
	@$(RUN)/python -m pytest -n 2 --dist loadfile -m "not ($(LEFT_OUT)) and (ray or prefect)"

slow: setup ## run the longer proofs
	@$(RUN)/python -m pytest -m slow

check: setup ## lint, format, types, import contracts and the fast tests: neither Ray and Prefect nor networks at work
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@OMP_NUM_THREADS=1 $(RUN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not heavy and not ray and not prefect"

format: setup ## format the code
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .
