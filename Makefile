# FleetMeter. `make` shows what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
COMPOSE := docker compose --file docker/compose.yaml --env-file .env

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "FleetMeter needs Python 3.11 or newer on the PATH"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

.PHONY: up
up: ## Run FleetMeter: with Docker the whole stack, without it on an embedded PostgreSQL (Ctrl-C stops)
	@echo todo
.PHONY: test
test: .venv/installed ## Run the test suite, on the embedded PostgreSQL and on TimescaleDB where there is one
	@$(BIN)/pytest
