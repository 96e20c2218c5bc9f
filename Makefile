# GoTicket's verbs. `make help` lists them; CI calls only these.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Another interpreter has an environment of its own: make test PYTHON=python3.13
PYTHON ?= python3
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
# Tests mostly wait, so there is one worker more than the two cores of the reference machine.
WORKERS ?= 3
PACKAGES := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml)) \
	deploy/local tests/support
PROTOS := $(sort $(wildcard protos/goticket/*/v1/*.proto))
STUBS := libs/contracts/src

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(VENV)/.installed ## Create .venv with every pinned dependency and package (PYTHON=python3.13: another)

# Two at once: the second waits for the first, and then finds everything installed.
$(VENV)/.installed: requirements.lock requirements-bootstrap.lock pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES))
	@exec 9>$(VENV).lock; ! command -v flock >/dev/null || flock 9; \
	test ! -e $@ || test -n "$$(find $^ -newer $@)" || exit 0; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock; \
	export VIRTUAL_ENV=$(CURDIR)/$(VENV); \
	$(BIN)/uv pip sync --quiet --require-hashes requirements.lock; \
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(addprefix -e ./,$(PACKAGES)); \
	touch $@

.PHONY: lock
lock: ## Renew requirements.lock to the newest releases
	uv=$$(command -v $(BIN)/uv uv | head -1); \
	$$uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --group dev pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES)) \
		$(addprefix --no-emit-package ,$(shell sed -n 's/^name = "\(goticket-.*\)"$$/\1/p' $(addsuffix /pyproject.toml,$(PACKAGES)))) \
		-o requirements.lock

.PHONY: new-service
new-service: setup ## Create services/NAME with a working process (NAME=x)
	@$(BIN)/python -m goticket_local.workspace new-service "$(NAME)"
	@$(MAKE) --no-print-directory docs

.PHONY: contracts
contracts: setup ## Write .importlinter and mypy's search path from services/*/service.toml
	@$(BIN)/python -m goticket_local.workspace contracts

.PHONY: docs
docs: setup ## Write docs/settings.md and docs/reference/protos.md
	@$(BIN)/python -m goticket_local.workspace docs

.PHONY: proto
proto: setup ## Generate stubs from protos/ into libs/contracts
	@rm -rf $(STUBS)/goticket && mkdir -p $(STUBS)/goticket
	@$(MAKE) --no-print-directory stubs OUT=$(STUBS)

.PHONY: stubs
stubs:
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos \
		--python_out=$(OUT) --grpc_python_out=$(OUT) \
		--mypy_out=$(OUT) --mypy_grpc_out=async_only:$(OUT) $(PROTOS)
	@find $(OUT)/goticket -type d -exec touch {}/__init__.py {}/py.typed \;

.PHONY: up
up: setup ## Start the whole system here and print how to use it
	@$(BIN)/goticket-local up

.PHONY: down
down: setup ## Stop what `make up` started
	@$(BIN)/goticket-local down

.PHONY: logs
logs: setup ## Show the logs (N=name of one process, F=1 to follow)
	@$(BIN)/goticket-local logs $(N) $(if $(F),-f)

.PHONY: reset
reset: setup ## Stop everything and delete its data
	@$(BIN)/goticket-local reset

.PHONY: lint
lint: setup ## Check style and the imports between layers and packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-logo

.PHONY: types
types: setup ## Check types, strictly
	@$(BIN)/mypy

.PHONY: test
test: setup ## Run every test against real servers (T=path narrows)
	@$(BIN)/pytest $(or $(T),-n $(WORKERS) --max-worker-restart 0)

.PHONY: chaos
chaos: setup ## Inject faults under load, then check every invariant (SEED=7 SECONDS=180)
	@CHAOS_SEED=$(or $(SEED),any) CHAOS_SECONDS=$(or $(SECONDS),180) $(BIN)/pytest -s -m chaos tests/chaos/test_chaos.py

.PHONY: bench
bench: setup ## Measure under load, fifteen minutes (QUICK=1: three; S=reads,overload: some)
	@PYTHONPATH=tests/load $(BIN)/python -m goticket_load $(if $(QUICK),--quick) --scenarios "$(S)"

.PHONY: format
format: setup ## Rewrite the code in the project's style
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .
