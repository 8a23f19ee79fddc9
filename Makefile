# Everything a developer or a curious visitor needs; `make help` lists it.
# Set-up happens by itself: an environment in .venv, made anew for changed requirements.

PYTHON ?= python3
ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
REQUIREMENTS := pyproject.toml constraints.txt $(wildcard services/tidemill/*/*.pyx)

# One stamp per set of extras, so that the demo does not wait for the tools of developers.
READY := $(VENV)/ready
READY_DEV := $(VENV)/ready-dev

.DEFAULT_GOAL := help
.PHONY: help demo test check coverage bench prove clean

help: ## This list.
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name about; do printf '  make %-10s %s\n' "$$name" "$$about"; done
	@echo '  ARGS="..." passes flags on; PYTHON=python3.12 makes the environment with another Python.'

demo: $(READY) ## Kafka, all processors and a simulated plant: ARGS="--seconds 40" ends by itself.
	@$(BIN)/tidemill demo $(ARGS)

test: $(READY_DEV) ## All tests, those on a real broker among them; ARGS goes to pytest, JOBS (2) side by side.
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(READY_DEV) ## Format, lint, types, arrows, generated pages, schema compatibility.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy services tests
	$(BIN)/lint-imports
	@echo 'generated pages: docs/topics.md and docs/metrics.md must be what the code says'
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
		$(BIN)/python -m tidemill.contracts.tables "$$fresh" && \
		for page in "$$fresh"/*; do \
			diff -u "docs/$${page##*/}" "$$page" || \
			{ echo 'stale: run python -m tidemill.contracts.tables'; exit 1; }; \
		done
	$(BIN)/tidemill schemas check --own schemas

coverage: $(READY_DEV) ## Branch coverage of the pure packages by the tests that need no broker.
	@$(BIN)/python -m pytest -q -m 'not broker' --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --skip-covered \
		--include='*/kernel/*,*/contracts/*,*/models/*,*/attribution/*,*/detection/*,*/fold/*,*/processor.py'

bench: $(READY_DEV) ## Processor time per event beside other engines; writes docs/proofs/bench.md.
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

prove: $(READY_DEV) ## The proofs at full size (hours); writes docs/proofs/.
	@PYTHONPATH=tests $(BIN)/python -m prove $(ARGS)

clean: ## End the embedded broker; remove the environment and caches, keep topics and keys.
	@if [ -x $(BIN)/tidemill ]; then \
		for directory in .tidemill .tidemill/demo; do \
			if [ -d $$directory ]; then $(BIN)/tidemill down --dir $$directory; fi; \
		done; \
	fi
	rm -rf $(VENV) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache services/*.egg-info
	find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d .tidemill ]; then echo 'kept: .tidemill, which holds topics and keys'; fi

$(READY): $(REQUIREMENTS) | python
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo 'Setting up $(VENV) ...' >&2
	@$(PIP) install --constraint constraints.txt --editable '.[local]'
	@touch $@

$(READY_DEV): $(READY)
	@echo 'Adding the tools of developers to $(VENV) ...' >&2
	@$(PIP) install --constraint constraints.txt --editable '.[local,dev]'
	@touch $@

# Asked only when there is something to set up.
.PHONY: python
python:
	@if [ -x $(BIN)/pip ]; then exit 0; fi; \
	command -v $(PYTHON) >/dev/null || { \
		echo 'Python 3.11 or newer is needed, found no $(PYTHON); name one: make PYTHON=python3.12 ...' >&2; \
		exit 78; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); name one: make PYTHON=python3.12 ..." >&2; \
		exit 78; }; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) must have the modules venv and ensurepip; on Debian and Ubuntu they are in the package python3-venv" >&2; \
		exit 78; }
