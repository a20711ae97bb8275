# Two commands for learners: `make lab` and `make setup`. The others are for work on the lab itself.

PYTHON ?= python3
LAB_ARGS ?=
CASES ?=
BENCH_ARGS ?=
WORLD_ARGS ?=
SECTIONS ?=

.PHONY: help setup lab check test test-kernel test-lessons notebooks bench assets

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## build the kernel and everything JupyterLab needs (minutes the first time, seconds after)
	@$(PYTHON) tools/setup.py

lab: setup ## open the lessons in JupyterLab; LAB_ARGS="--no-browser --port 8890" for its options
	@exec tools/lab.sh $(LAB_ARGS)

check: ## the quick tests (under two minutes once built): formatting, lints, documentation, unit tests
	@PYTHON=$(PYTHON) tools/test.sh check

test: ## every test (about an hour); SECTIONS="doc crates" for some of its sections
	@PYTHON=$(PYTHON) tools/test.sh $(or $(SECTIONS),all)

test-kernel: ## the kernel's tests, and JupyterLab in a browser
	@PYTHON=$(PYTHON) tools/test.sh set-up kernel protocol browser

test-lessons: ## the lessons' tests: every notebook runs and shows what it says
	@PYTHON=$(PYTHON) tools/test.sh set-up lessons

notebooks: setup ## run every notebook without a browser, refresh the outputs that are committed, check their results
	@.venv/bin/python -m pip install -q -r tools/requirements-test.txt -c tools/constraints.txt
	@.venv/bin/python tools/notebooks.py
	@GPT_LAB_COMMITTED=1 .venv/bin/python -m pytest -q --durations=0 tests/notebooks -k "not exercise and not it_runs"

bench: .venv-bench/.done ## gpt_lab beside its alternatives, into bench/RESULTS.md; CASES="train_step growth" for some of it
	@.venv-bench/bin/python bench/run.py $(CASES) $(BENCH_ARGS)

.venv-bench/.done: bench/requirements.txt
	@echo "bench: PyTorch and its company into .venv-bench, about 5 GB (some minutes)"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -q --disable-pip-version-check -r bench/requirements.txt
	@touch $@

assets: ## make what assets/ holds again, from nothing; WORLD_ARGS="--steps 6000" for its options
	@cargo run --locked --release -p gpt_lab_world -- all $(WORLD_ARGS)
