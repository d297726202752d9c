# Needs Python 3.11, pip, make and a C compiler; everything is set up in .venv.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .venv/uv/bin/uv
BIN := .venv/bin
export PYTHONNOUSERSITE := 1
# Tests start the package in processes of their own by the hundred: its modules are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs test suite check try-wheel lint format lock clean

# Untrained weights: the demo needs no network, and what it embeds is marked as not for inference. Few cases make few folds.
demo: TRIAL := --set embedding.weights=random:0
demo: FEW := $(foreach key,crossfit_folds selection.lasso_folds forest.folds,--set fit.$(key)=3) --set fit.nested.repeats=0
demo: .venv/.ready
	rm -rf demo
	$(BIN)/cvtbatch synth demo/archive --cases 48 --centers 2 --seed 1
	awk -F, 'NR == 1 || $$1 == "C1"' demo/archive/manifest.csv > demo/archive/center-1.csv
	awk -F, 'NR == 1 || $$1 == "C2" && ++n <= 16' demo/archive/manifest.csv > demo/archive/center-2.csv
	$(BIN)/cvtbatch check demo/archive/center-1.csv
	$(BIN)/cvtbatch extract demo/archive/center-1.csv --store demo/store $(TRIAL)
	if $(BIN)/cvtbatch download head-ct-ge --out demo; then \
	  cp tests/data/real_head.csv tests/data/head_ct_ge_roi.nii.gz demo && \
	  $(BIN)/cvtbatch extract demo/real_head.csv --store demo/store $(TRIAL) && \
	  $(BIN)/cvtbatch picture ge/head --store demo/store --out demo/real_head.png; \
	else echo "The demo goes on without the real head."; fi
	$(BIN)/cvtbatch status --store demo/store
	$(BIN)/cvtbatch export radiomics --store demo/store --out demo/radiomics.parquet
	$(BIN)/cvtbatch fit --store demo/store --set 'cohort.training_centers=[C1]' $(FEW) --out demo/bundle
	$(BIN)/cvtbatch add-center demo/archive/center-2.csv --store demo/store --bundle demo/bundle --out demo/report
	awk -F, -v OFS=, 'NR > 1 { $$5 = "" } 1' demo/archive/center-2.csv > demo/archive/no-masks.csv
	$(BIN)/cvtbatch add-center demo/archive/no-masks.csv --store demo/registry --bundle demo/bundle \
	  --set outline.method=threshold --reader threshold --out demo/registry-report
	$(BIN)/cvtbatch review --store demo/registry --out demo/review

# At once with --jobs=2.
test: lint suite

# Long files first, in the order that tests/support/schedule.py gives them.
suite: .venv/.ready
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=30

# What who installs the wheel gets; needs an index of packages, as `lock` does. It leaves the cores to tests that run beside it.
try-wheel: .venv/.ready
	nice $(BIN)/python -m tests.packaging.try_wheel

check: lint
	$(BIN)/python -m pytest -q tests/unit/test_layers.py

lint: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The documentation site, of docs/ and of the code: open build/site/index.html.
docs: .venv/.ready
	$(BIN)/python -m sphinx --quiet --fail-on-warning --jobs auto -c docs -d build/pages . build/site

format: .venv/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The environment is built anew when the lock or the project's metadata change, and re-used otherwise.
.venv/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip .venv
	test -x $(UV) || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# Exact versions for Python 3.11, with hashes and without index addresses; PyRadiomics is the reference, not what the extra `stock` brings.
lock: EXTRAS := cluster embed fit pacs timm
lock:
	test -x $(UV) || { $(PYTHON) -m venv .venv/uv && .venv/uv/bin/python -m pip install --quiet uv==$(UV_VERSION); }
	$(UV) pip compile --quiet --upgrade pyproject.toml --group dev --group docs $(EXTRAS:%=--extra %) --python-version 3.11 --generate-hashes --no-header -o requirements.lock

clean:
	rm -rf .venv demo build
