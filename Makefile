# Two commands are enough: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SAMPLE := data/sample_crm

.PHONY: help setup run up test test-slow lint format docs bench clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

setup: $(READY) ## Make the environment in .venv

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "careloop needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(SAMPLE)/.made: | $(READY)
	$(BIN)/careloop sample $(SAMPLE) --customers 2000 --seed 7 --dirty 1%
	@touch $@

run: setup $(SAMPLE)/.made ## Make a sample CRM, refresh it under Prefect, say what came out
	$(BIN)/careloop up --once

up: setup ## Start Prefect here: server, worker, schedules, UI
	$(BIN)/careloop up

test: setup lint ## Run every check but the slow ones
	$(BIN)/pytest --numprocesses 2 --dist loadgroup -m "not slow"

test-slow: setup ## Run the slow checks: kills, flows under Prefect, days of care, public data sets
	$(BIN)/pytest --numprocesses 2 --dist loadgroup -m slow

lint: setup ## Check style and structure: Python, imports, SQL
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt_project --processes 2 --disable-progress-bar

format: setup ## Format Python and SQL
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/sqlfluff fix dbt_project

docs: setup ## Write the pages that are generated from the code
	$(BIN)/careloop contract --markdown > docs/contract.md
	$(BIN)/careloop questions --markdown > docs/questions.md
	sed -i '/^## Every key/,$$d' docs/program-packs.md
	$(BIN)/careloop program schema >> docs/program-packs.md
	sed -i '/^## Every KPI/,$$d' docs/kpis.md
	$(BIN)/careloop program kpis >> docs/kpis.md
	$(BIN)/careloop program kpis --dbt > dbt_project/models/marts/review/_semantic_models.yml

bench: setup ## Measure the refresh; others (decisions, mail, ledger …): benchmarks/README.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks

clean: ## Remove the environment and everything careloop wrote here
	rm -rf $(VENV) data
