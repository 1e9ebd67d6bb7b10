# Two commands matter: `make serve` and `make test`. Each does all its own set-up.
VENV ?= .venv
PYTHON := $(VENV)/bin/python
ARGS ?=

.PHONY: serve test test-clients test-browsers lint type format bench bench-rtc bench-turns bench-voice clean help

help:  ## Show the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / - /'

serve: $(VENV)/.serve  ## Install what is needed, fetch the models, and serve (ARGS="--port 9000")
	@exec $(VENV)/bin/antiphon serve $(ARGS)

test: $(VENV)/.test  ## Install what is needed and run every check
	@$(PYTHON) scripts/checks.py $(ARGS)

test-clients: $(VENV)/.test  ## Install the clients that people use, each by itself, and run them against the server
	@$(PYTHON) scripts/checks.py clients

test-browsers: $(VENV)/.test  ## Install browsers (Debian, as root) and let them call the server
	@$(PYTHON) scripts/checks.py browser

lint: $(VENV)/.test  ## Lint, and check the layers
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/lint-imports

type: $(VENV)/.test  ## Check the types
	@$(VENV)/bin/mypy

format: $(VENV)/.test  ## Format the code
	@$(VENV)/bin/ruff format . && $(VENV)/bin/ruff check --fix .

bench: $(VENV)/.test  ## Measure, and print what docs/explanation/performance.md reports
	@$(PYTHON) -m bench $(ARGS)

bench-rtc: $(VENV)/.test  ## Measure calls over WebRTC (ARGS=--quick takes a minute)
	@$(PYTHON) -m bench.rtc $(ARGS)

bench-turns: $(VENV)/.test  ## Make the labelled set of turns, and score how turns are taken on it (ARGS="--only medium")
	@$(PYTHON) -m bench.turn_set && $(PYTHON) -m bench.turns $(ARGS)

bench-voice: $(VENV)/.test  ## Ask spoken questions, and measure when the answer is heard (ARGS="--questions 5")
	@$(PYTHON) -m bench.voice $(ARGS)

clean:  ## Remove what the other commands made (not the models)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.serve: pyproject.toml constraints.txt scripts/install.sh
	@sh scripts/install.sh $(VENV) '.[local]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt scripts/install.sh
	@sh scripts/install.sh $(VENV) '.[dev]'
	@touch $(VENV)/.serve $@
