# The two commands are `make up` and `make test`; all set-up happens in .venv and in the user's cache.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
PROCESSES := 2 # of tests: they wait more than they work
STAMP := .venv/.locked

.PHONY: help up demo test trials ingest-trials alerts-trials board-load check unit outage fuzz bench bench-latency bench-deploy containers audit sbom generate scenario-table screenshot screenshots vendored clean
.DEFAULT_GOAL := help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3 up" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --quiet --locked --all-extras
	@touch $(STAMP)

up: $(STAMP) ## Kafka, the four services and the scenario, live; Ctrl-C ends it
	@$(BIN)/neutrality up

demo: $(STAMP) ## the same, in the scenario's time; ends by itself, non-zero if an alert did not arrive
	@$(BIN)/neutrality up --demo

test: check ## all checks and all tests
	@$(BIN)/pytest -q --numprocesses $(PROCESSES) --dist loadscope --no-loadscope-reorder

check: $(STAMP) ## formatting, lint, types, layers, dependencies, generated files
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/python -m neutrality.events.schemas --check contracts/schemas
	@$(BIN)/python deploy/grafana/dashboards.py --check
	@$(BIN)/python docs/vendored.py --check

outage: $(STAMP) ## Kafka away for 150 s under load, with either producer
	@OUTAGE_S=150 $(BIN)/pytest -q --timeout 600 tests/faults/test_outage.py

fuzz: $(STAMP) ## 10,000 made-up bodies for ingest
	@INGEST_BODIES=10000 $(BIN)/pytest -q --timeout 1800 tests/property/test_ingest_bodies.py

unit: $(STAMP) ## the tests that need no broker
	@$(BIN)/pytest -q tests/unit tests/property

trials: $(STAMP) ## two scoring workers through 40 long trials with mishaps; about two hours
	@$(BIN)/python -m tests.trials

ingest-trials: $(STAMP) ## ingest and Kafka killed under load, 50,000 events a trial, with either producer
	@$(BIN)/python -m tests.ingest_trials --output .local/ingest-trials.md

alerts-trials: $(STAMP) ## 1,000 subscriptions, 200 changes/s for 5 minutes, broken endpoints; with three kills; two instances on PostgreSQL (a container)
	@$(BIN)/python -m tests.alerts_trials --output .local/alerts-trials.md
	@$(BIN)/python -m tests.alerts_trials --database postgresql --instances 2 --output .local/alerts-trials-postgresql.md

scenario-table: $(STAMP) ## play the scenario, and write what each lab was told on every channel to docs/scenario-alerts.md
	@$(BIN)/python -m tests.scenario_table --output docs/scenario-alerts.md

board-load: $(STAMP) ## the board with 500 vendors x 20 labs, 200 open pages and 50 changes/s
	@$(BIN)/python -m tests.board_load

generate: $(STAMP) ## write the generated files anew
	@$(BIN)/python -m neutrality.events.schemas contracts/schemas
	@$(BIN)/python -m services.ingest --openapi > contracts/openapi/ingest.json
	@$(BIN)/python -m services.alerts --openapi > contracts/openapi/alerts.json
	@PYTHONPATH=. $(BIN)/python docs/metrics_document.py
	@$(BIN)/python deploy/grafana/dashboards.py
	@$(BIN)/python deploy/bill_of_materials.py --licences

bench: $(STAMP) ## scoring on the real model, one keyed job beside its peers, recovery, ingest over HTTP: one table; QUICK=--quick is over in minutes
	@$(BIN)/python -m benchmarks --output .local/bench.md $(QUICK)

bench-latency: $(STAMP) ## event accepted to alert readable, 50 events/s for 60 s
	@$(BIN)/python -m benchmarks.latency

bench-deploy: $(STAMP) ## compose: time to healthy, memory and image size of each service
	@$(BIN)/python -m benchmarks.deploy

containers: $(STAMP) ## compose in its long forms: the secure profile, every container killed in turn, an upgrade; some 20 minutes
	@$(BIN)/pytest -q tests/containers/test_*.py tests/containers/trial_*.py

audit: $(STAMP) ## pip-audit of the lock file; asks PyPI's advisory service
	@mkdir -p .local
	@$(BIN)/uv export --quiet --frozen --all-extras --all-groups --no-emit-project --output-file .local/requirements.txt
	@$(BIN)/uv tool run pip-audit@2.10.1 --strict --disable-pip --require-hashes --requirement .local/requirements.txt

sbom: $(STAMP) ## what each image is made of: CycloneDX documents in .local/sbom
	@$(BIN)/python deploy/bill_of_materials.py

screenshot: $(STAMP) ## draw docs/images/demo.svg anew from a real run
	@$(BIN)/python docs/images/record.py

screenshots: $(STAMP) ## take the README's pictures of the board anew, with the machine's Chromium
	@$(BIN)/python -m tests.screenshots

vendored: ## fetch the vendored files anew from npm, by docs/vendored.json
	@$(PYTHON) docs/vendored.py

clean: ## remove what was installed here (not the user's cache)
	@rm -rf .venv benchmarks/peers/.venv .mypy_cache .ruff_cache .pytest_cache
