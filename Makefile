# On a fresh machine with Python 3.11 to 3.14: `make demo`, `make test`. Nothing else is needed.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
# A neighbour's load must not make small threaded operations a hundred times slower.
export GOMP_SPINCOUNT ?= 0
export OMP_WAIT_POLICY ?= PASSIVE
export MPLBACKEND := Agg
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A process a core, a thread each; JOBS=1 for one.
PYTEST := $(BIN)/python -m pytest --numprocesses=$(or $(JOBS),auto) --maxprocesses=8 --dist=worksteal
HERE := not slow and not gpu and not data and not slurm

.PHONY: help install slurm demo test test-rest test-all check format paper bench gpu-check lock clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: ## make .venv from the lock file (PYTHON=python3.13 chooses the Python; UV= takes pip where uv is there, too)
	@$(PYTHON) workflow/envs/install.py

slurm: install ## Snakemake's plugin for SLURM; not in the default install: see docs/clusters.md
	@$(PYTHON) workflow/envs/install.py requirements-slurm.lock

demo: install ## the whole pipeline on phantom data, CPU only; ends with reports/demo/index.html
	$(BIN)/snakemake --cores all --configfile config.demo.yaml --set-threads train=1 predict=1 sparsity=1
	@echo "The report: reports/demo/index.html"

test: install ## the tests that prove the product on this machine
	$(PYTEST)

test-rest: install ## proof in depth: what `make test` leaves out
	$(PYTEST) -m 'extended and $(HERE)'

test-all: install ## every test that needs no GPU, no real data, no SLURM
	$(PYTEST) -m '$(HERE)'

check: install ## formatting, lint, types, workflow lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/pyright
	$(BIN)/snakemake --lint

format: install ## write the format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

paper: install ## the paper: real data, every GPU
	$(BIN)/snakemake --cores all

bench: install ## ratios against the straightforward versions, measured side by side
	$(BIN)/python -m benchmarks $(if $(MACHINE),--machine $(MACHINE))

# Needs no install: any Python with torch and what requirements-gpu-check.txt lists.
gpu-check: ## what a GPU does here, in at most 12 minutes: gpu-check/index.md (CASES= prepared cases of ACDC)
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu_check $(if $(CASES),--cases $(CASES))

lock: ## resolve requirements.lock again (needs uv)
	uv pip compile --no-config --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
		--extra test --extra check pyproject.toml -o requirements.lock
	printf '%s\n' snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep | uv pip compile --no-config \
		--universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-deps --no-annotate \
		--constraint requirements.lock - -o requirements-slurm.lock

clean: ## remove what was computed; raw data and the environment stay
	find results reports -mindepth 1 -maxdepth 1 ! -name README.md ! -path reports/example -exec rm -rf {} +
	rm -rf .snakemake
