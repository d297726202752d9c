# Needs Python 3.11, pip, make and a C compiler; everything is set up in .venv.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .venv/uv/bin/uv
BIN := .venv/bin
export PYTHONNOUSERSITE := 1

.PHONY: demo test check format lock clean

# Untrained weights: the demo needs no network, and what it embeds is marked as not for inference.
demo: TRIAL := --set embedding.weights=random:0
demo: .venv/.ready
	rm -rf demo
	$(BIN)/cvtbatch synth demo/archive --cases 20 --centers 2 --seed 1
	$(BIN)/cvtbatch check demo/archive/manifest.csv
	$(BIN)/cvtbatch extract demo/archive/manifest.csv --store demo/store $(TRIAL)
	$(BIN)/cvtbatch extract tests/data/real_head.csv --store demo/store $(TRIAL)
	$(BIN)/cvtbatch status --store demo/store
	$(BIN)/cvtbatch export radiomics --store demo/store --out demo/radiomics.parquet
	$(BIN)/cvtbatch picture ge/head --store demo/store --out demo/real_head.png

test: check
	$(BIN)/python -m pytest

check: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_layers.py

format: .venv/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The environment is built anew when the lock or the project's metadata change, and re-used otherwise.
.venv/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv
	test -x $(UV) || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	$(UV) pip sync --quiet --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Exact versions for Python 3.11, with hashes and without index addresses.
lock:
	test -x $(UV) || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	$(UV) pip compile --quiet --upgrade pyproject.toml --group dev --python-version 3.11 --generate-hashes --no-header -o requirements.lock

clean:
	rm -rf .venv demo
