# make demo   grade a simulated study in a fresh environment (no torch)
# make test   all tests but the slow     make test-slow   those that need over 20 CPU seconds each
# make serve-demo   Orthanc and the service on this machine: a study goes in, SR, PDF, pictures and SEG come back
#                   make serve-demo DEMO=--ohif   and OHIF's viewer shows them
# make bench  tables of speed and memory beside the peers, into build/bench (STUDY=folder of a real study, BESIDE=checkout)
# make check  style, types, layers       make clean       remove what the above made
#
# PYTHON=python3.12 chooses the interpreter, VENV=... the environment's folder.

PYTHON ?= python3
VENV ?= .venv
BUILD ?= build
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: help demo serve-demo test test-slow bench check clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "stenograde needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# stamps: install again only when the pins or the dependencies have changed
$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[serve]'
	@touch $@ $(VENV)/.core

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[train,tabular,weights,serve,postgresql,batch,dev]'
	@touch $@ $(VENV)/.core $(VENV)/.serve

demo: $(VENV)/.core
	@rm -rf $(BUILD)/demo
	$(BIN)/stenograde phantom --patients 1 --seed 12 --cell spinal_canal_stenosis_l4_l5=severe \
		--cell left_neural_foraminal_narrowing_l5_s1=severe --out $(BUILD)/demo/phantom
	$(BIN)/stenograde grade $(BUILD)/demo/phantom/train_images/*/ --reference $(BUILD)/demo/phantom/train.csv \
		--drafts --out $(BUILD)/demo/report
	@echo
	@echo "open in a browser: $(abspath $(BUILD)/demo/report/report.html)"

# as root on Debian what is missing is installed; elsewhere the demo says what it needs
serve-demo: $(VENV)/.serve
	@if ! { command -v storescu && { command -v Orthanc || command -v /usr/sbin/Orthanc; }; } >/dev/null \
	  && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends orthanc orthanc-dicomweb dcmtk >/dev/null; fi
	$(BIN)/python examples/serve_demo.py --folder $(BUILD)/serve-demo $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m slow

$(VENV)/.bench: pyproject.toml constraints.txt | $(VENV)/.dev
	$(PIP) -e '.[benchmarks]'
	@touch $@

bench: $(VENV)/.bench
	PYTHONPATH=. $(BIN)/python benchmarks/bench.py --out $(BUILD)/bench $(if $(STUDY),--study $(STUDY)) \
		$(if $(BESIDE),--beside $(BESIDE))

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@large=$$(git ls-files -z -- . ':!src/stenograde/bundles' | xargs -0 sh -c 'find "$$@" -maxdepth 0 -size +500k' sh) && \
	  if [ -n "$$large" ]; then echo "no file may be over 500 kB (shipped bundles aside), got:"; echo "$$large"; exit 1; fi

clean:
	rm -rf $(VENV) $(BUILD) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
