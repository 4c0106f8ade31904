# Everything a person or CI runs, each target from a fresh clone: the first one called makes .venv.
# Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
SETUP  := pyproject.toml constraints.txt

.PHONY: help demo test lint types contracts docs bench recovery reproduce check lock clean

help:
	@echo "make demo       fill the example table; leaves the table and a page in examples/out"
	@echo "make test       run the quick tests"
	@echo "make check      test, lint, types, contracts and docs: what CI runs"
	@echo "make reproduce  print the published numbers again (minutes)"
	@echo "make bench      time rankwise against a plain PyTorch loop, and from a cold shell (minutes)"
	@echo "make recovery   recovery from few entries: tables, and success against rho; goes on where it stopped (hours)"

demo: $(VENV)/.base
	@mkdir -p examples/out
	$(BIN)/rankwise complete examples/mauna-loa-co2.csv --output examples/out/mauna-loa-co2.csv \
	    --report examples/out/mauna-loa-co2.html --force
	@echo "filled table: examples/out/mauna-loa-co2.csv"
	@echo "page to open: examples/out/mauna-loa-co2.html"

# In as many processes as there are cores, a file of tests in one of them, since its tests share what they compile.
test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reproduce: $(VENV)/.dev
	$(BIN)/python -m pytest -m reproduction -s

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/steps_per_second.py
	$(BIN)/python benchmarks/cold_start.py

# The kinds of instances with their targets, then success against the number of entries, each with its page. Another
# version of both, in folders of their own: make recovery ARGS=--quick
recovery: END := $(if $(findstring --quick,$(ARGS)),-quick)
recovery: $(VENV)/.base
	@mkdir -p benchmarks/out
	$(BIN)/rankwise study run recovery --out benchmarks/out/recovery$(END) $(ARGS)
	$(BIN)/rankwise report benchmarks/out/recovery$(END)
	$(BIN)/rankwise study run recovery_grid --out benchmarks/out/recovery_grid$(END) $(ARGS)
	$(BIN)/rankwise report benchmarks/out/recovery_grid$(END)

check: test lint types contracts docs

# Exact versions for development and CI, the same on every system. Needs uv.
lock:
	uv pip compile pyproject.toml --extra dev --extra docs --universal --python-version 3.11 \
	    --no-annotate --no-emit-package rankwise --custom-compile-command "make lock" \
	    --upgrade --quiet --output-file constraints.txt

clean:
	rm -rf $(VENV) site dist examples/out .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp per extra: a second call installs nothing, unless the versions asked for have changed.
$(VENV)/.base: $(SETUP)
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('rankwise needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	$(PIP) --editable ".[docs]"
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	$(PIP) --editable ".[bench]"
	@touch $@
