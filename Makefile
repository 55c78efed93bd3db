# `make demo` and `make test` need Python 3.11 or newer and nothing else installed by hand.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PEERS := tests/firmware_host/peers/requirements.txt

.PHONY: demo test lint bench soak docs pictures figures clean system

demo: $(VENV)/ready
	VENV=$(VENV) bash docs/demo.sh

# A file of tests stays in one process, because its tests share what was recorded for them. Each process has one core.
test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist loadfile

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Hours; fills docs/measured.md.
bench: $(VENV)/ready
	$(BIN)/python -m tests.bench --keep

soak: $(VENV)/ready
	$(BIN)/python -m tests.soak

# The pages as a site, under site/; a warning is an error, and nothing is fetched.
docs: $(VENV)/ready
	$(BIN)/python docs/check.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Of docs/simulator.md.
pictures: $(VENV)/ready
	$(BIN)/python docs/pictures.py

# Of the README, from the demo's first session; the status page wants a machine that is otherwise idle.
figures: $(VENV)/ready
	$(BIN)/python docs/figures.py demo/sessions/first

# The constraints name the versions that the tests ran with; torch's pin also keeps the CPU build.
$(VENV)/ready: pyproject.toml constraints.txt $(PEERS)
	bash docs/system.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch numpy
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps --requirement $(PEERS)
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info
