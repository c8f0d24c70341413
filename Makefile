# Everything runs in .venv, which is made when first needed and again when pyproject.toml or
# constraints.txt change.  make PYTHON=python3.12 test  takes another interpreter for a fresh .venv.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOG := $(VENV)/install.log
PACKAGES := stackelberg analysis llm

# Each test worker is one process; their linear algebra must not fight over the cores.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench bench-gpu cuda clean

help: ## say what can be made
	@echo "stackelberg: preference optimisation as a game. Start with  make demo"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r command does; do printf '%-15s %s\n' "$$command" "$$does"; done
	@echo
	@echo "  .venv is made by the first of these that needs it (PYTHON=$(PYTHON), at least 3.11);"
	@echo "  after that  .venv/bin/stackelberg --help  works by hand."

demo: $(STAMP) ## solve and draw a real election with a cycle, then train a tiny language model (into figures/)
	@$(BIN)/stackelberg demo --out figures
	@echo; echo "== a tiny language model, against a judge that likes small letters"
	@rm -rf figures/language
	@$(ONE_THREAD) $(BIN)/stackelberg train papers/slhf/configs/offline.yaml --out figures/language

test: $(STAMP) ## run every test and every example in the docs (JOBS=2 processes)
	@$(ONE_THREAD) $(BIN)/pytest -n $(JOBS)

check: $(STAMP) ## lint, format, types, and the examples in docstrings and README
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(ONE_THREAD) $(BIN)/pytest $(PACKAGES) README.md

bench: $(STAMP) ## run every benchmark (results with their machine into benchmarks/results/)
	@for script in $(filter-out %_gpu.py,$(sort $(wildcard benchmarks/[a-z]*.py))); do \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

# Not in .venv: the machine's own torch, transformers, peft and accelerate are what knows its accelerator.
bench-gpu: ## tokens a second, memory and utilisation on a CUDA device, with PYTHON's own torch (GPU="--shapes 8B")
	@PYTHONPATH=. $(PYTHON) benchmarks/llm_gpu.py $(GPU)

# Nor this: NumPy, SciPy, torch and pytest are all that it needs. Warnings of another torch are shown, not errors.
cuda: ## tests and times of tables and small networks on a CUDA device, with PYTHON's own torch and pytest
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is $$($(PYTHON) --version 2>&1); 3.11 or later is needed: make PYTHON=python3.11 cuda" >&2; exit 1; }
	@PYTHONPATH=. $(PYTHON) benchmarks/tables_gpu.py --check
	@PYTHONPATH=. STACKELBERG_DEVICE=cuda $(PYTHON) -m pytest -q --noconftest -W default tests/test_devices.py
	@PYTHONPATH=. $(PYTHON) benchmarks/tables_gpu.py

clean: ## remove what was made: figures, caches, builds (not .venv: rm -rf .venv)
	@find figures -mindepth 1 ! -name README.md -delete
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find $(PACKAGES) tests benchmarks papers -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "No '$(PYTHON)' found. Python 3.11 or later is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is $$($(PYTHON) --version 2>&1); 3.11 or later is needed: make PYTHON=python3.11 ..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) (a few minutes: it brings torch and transformers) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -c constraints.txt -e ".[dev,fast,llm]" >$(LOG) 2>&1 || { \
		cat $(LOG) >&2; echo "The install into $(VENV) failed; pip's words are above." >&2; exit 1; }
	@touch $@
