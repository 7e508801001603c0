# `make run` and `make test` do everything, from a fresh clone with Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DATA_DIR ?= $(or $(shell sed -n 's/^DATA_DIR=//p' .env 2>/dev/null),var)
ROWS ?= 1000000
SAMPLE := $(DATA_DIR)/sample-$(ROWS).csv

.PHONY: run serve test setup lint unit malformed live slow timing faults floors

# Two makes at once: the second waits for what the first makes, and finds it made.
LOCKED := $(PYTHON) .ci/locked.py

ifdef CSV
INPUT := $(CSV)
else
INPUT := $(SAMPLE)
NEEDED := $(SAMPLE)
endif

run: setup $(NEEDED)
	@exec $(PY) -m service --load "$(INPUT)"

serve: setup
	@exec $(PY) -m service

$(SAMPLE): | setup
	@mkdir -p $(DATA_DIR)
	@$(LOCKED) $@.lock sh -c 'test -e $@ || { $(PY) -m loader sample $@.part --rows $(ROWS) && mv $@.part $@; }'

test: lint unit malformed live

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# What needs a server stands in other rooms, whose libraries take seconds to import.
unit: setup
	$(PY) -m pytest tests/unit -p no:schemathesis -m "not live and not slow and not faults" -q

# The loader's reading on files with all kinds of defects, without a server.
malformed: setup
	$(PY) -m pytest tests/malformed -p no:schemathesis -m "not live and not slow and not faults" -q

live: setup
	$(PY) -m pytest tests -m "live and not slow and not timing and not faults" -q

setup: $(VENV)/ready

# The lock names every package with its hash; pip refuses anything else.
$(VENV)/ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(LOCKED) $(VENV).lock sh -c 'test $@ -nt $< || { $(PYTHON) -m venv $(VENV) \
		&& $(VENV)/bin/pip install --quiet --require-hashes -r $< && touch $@; }'

# The long suites: more random questions, more comparisons, more kills.
slow: setup
	$(PY) -m pytest tests -m "slow" -q

# What each question costs on the filled database, beside its estimate; written to $(DATA_DIR)/timing.json.
timing: setup $(NEEDED)
	@$(PY) -m store sh -c '$(PY) -m loader load "$(INPUT)" && $(PY) -m pytest tests/live/pipelines/test_timing.py -m timing -q -s'

# The unit tests on the lowest versions that setup.cfg allows, in an environment of its own.
floors: $(VENV)-floors/ready
	$(VENV)-floors/bin/python -m pytest tests -m "not live and not slow and not faults" -q

$(VENV)-floors/ready: setup.cfg .ci/floors.py
	$(PYTHON) -m venv --clear $(VENV)-floors
	$(PYTHON) .ci/floors.py > $(VENV)-floors/floors.txt
	$(VENV)-floors/bin/pip install --quiet -r $(VENV)-floors/floors.txt
	@touch $@

# Loads under faults: killed processes and servers, failing commands, elections, a full disk, a silent network.
faults: setup
	$(PY) -m pytest tests -m faults -q -s
