# From a clone: `make up` runs everything, `make test` tests everything. Each target can be made again without harm.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down test check bench bench-policy security conformance lock compose-up compose-down clean venv venv-bench venv-dev

BIN := .venv/bin
SOURCES := runtime sandbox mcp_servers generator images scripts

help: ## Show this
	@sed -nE 's/^([a-z-]+):.* ## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

up: venv ## Set everything up and start the runtime in the background
	@$(BIN)/muxi-runtime up --install-engine

down: ## Stop the runtime and end its sandboxes
	@if [ -x $(BIN)/muxi-runtime ]; then $(BIN)/muxi-runtime down; else echo "Nothing to stop."; fi

test: venv-dev ## Run the whole test suite against a real engine
	@scripts/node.sh
	@$(BIN)/muxi-runtime images build --install-engine
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

check: venv-dev ## Lint, types, import rules, security lint, file sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(SOURCES)
	$(BIN)/python scripts/check_file_sizes.py

bench: venv-bench ## Measure what sandboxes and calls cost on this machine
	@$(BIN)/muxi-runtime images build --install-engine
	@$(BIN)/python -m tests.benchmarks

bench-policy: venv-bench ## Measure the policy: AgentDojo with a model that obeys every injection, and what a decision costs
	@$(BIN)/python -m tests.benchmarks.policy_timings
	@PYTHONPATH=runtime:sandbox:. "$$(scripts/agentdojo.sh)" -m tests.benchmarks.dojo

security: venv-dev ## Try every attack of the list, and print what came of each
	@scripts/node.sh
	@$(BIN)/muxi-runtime images build --install-engine
	@$(BIN)/python -m tests.attack_matrix -q

conformance: venv-dev ## Run the official MCP conformance suite through the gateway, in every pair of eras
	@scripts/node.sh
	@$(BIN)/muxi-runtime images build --install-engine
	@PYTHONPATH=tests:tests/support:. $(BIN)/python -W ignore -m conformance_mcp.matrix

lock: ## Resolve the dependencies anew (needs uv and npm)
	scripts/lock.sh
	cd tests/node && npm install --package-lock-only --silent
	cd tests/benchmarks/peers/supergateway && npm install --package-lock-only --silent

compose-up: venv ## Run the runtime in a container of its own, beside this machine's engine
	@scripts/compose.sh up

compose-down: ## Stop that container
	@scripts/compose.sh down

clean: ## Remove what the targets above made in this folder (not the state, not the images)
	rm -rf .venv build dist tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@scripts/venv.sh requirements.lock

venv-dev:
	@scripts/venv.sh requirements-dev.lock

venv-bench:
	@scripts/venv.sh requirements-bench.lock
