# SPDX-License-Identifier: Apache-2.0
# The only entry point for people and for CI. `make` alone prints what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON3 ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
RUN := $(BIN)/python -m infra.local run --

##@ Start here
.PHONY: help setup demo up down
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## virtual environment with the locked versions

demo: servers setup ## a day at two machines while the outside world misbehaves, and the account (SEED=)
	$(BIN)/python -m infra.demo

up: servers setup ## start everything and print the addresses
	$(BIN)/python -m infra.local up

down: setup ## stop everything that `make up` started
	$(BIN)/python -m infra.local down

.PHONY: servers browser
servers browser:
	@PYTHON3="$(PYTHON3)" bash infra/setup.sh $@

.venv/ready: requirements.lock pyproject.toml infra/setup.sh
	@PYTHON3="$(PYTHON3)" bash infra/setup.sh
	@touch $@

##@ Check
.PHONY: check lint types imports test test-unit test-long crash chaos mutants k8s bench bench-quick bench-growth
check: lint types imports ## everything that reads the code without running it

lint: setup ## style, spelling, house rules
	$(BIN)/yamllint -s k8s infra/compose.yaml
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell services infra tests docs README.md
	$(BIN)/pytest tests/architecture

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## who may import whom
	$(BIN)/lint-imports

test: servers browser check ## everything CI runs
	$(RUN) $(BIN)/pytest -m "not long" --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-unit: setup ## tests that need no server
	$(BIN)/pytest tests/unit

test-long: setup ## minutes of faults and load
	$(RUN) $(BIN)/pytest -m long

crash: setup ## kill everything under load, seeded (SEED=); report in build/crash.json
	$(BIN)/python -m infra.crash

chaos: setup ## harm all ways to three subscribers, seeded (SEED=); report in build/chaos.json
	$(BIN)/python -m infra.chaos

k8s: setup ## render every overlay to build/k8s and check it, without a cluster
	$(BIN)/python -m tests.manifests.render
	$(BIN)/yamllint -s k8s infra/compose.yaml
	$(BIN)/pytest tests/manifests

mutants: setup ## plant known faults one by one; a named test must notice each
	$(RUN) $(BIN)/python -m tests.mutants

bench: servers setup ## measure against peers on one server; build/bench/*.json (SUBJECT=)
	$(RUN) $(BIN)/python -m tests.load.bench $(SUBJECT)

bench-quick: servers setup ## the rows that have a target, in three minutes
	$(RUN) $(BIN)/python -m tests.load.bench --quick $(SUBJECT)

bench-growth: servers setup ## the last million of ten beside the first; half an hour (EVENTS=)
	$(RUN) $(BIN)/python -m tests.load.growth

##@ Data and release
.PHONY: docs lock clean
docs: setup ## generate docs/reference and docs/questions.md from the code
	$(BIN)/python -m infra.reference
	$(BIN)/python -m tests.support.questions_page

lock: setup ## resolve the dependencies anew
	$(BIN)/pip-compile -q --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--extra server --extra edge --extra audit --extra dev -o requirements.lock pyproject.toml

clean: ## stop what is up and remove everything that was made here
	@if [ -e .local/up.json ]; then $(BIN)/python -m infra.local down; fi
	rm -rf .venv .local build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
