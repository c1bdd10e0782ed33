# make setup | demo | test | test-all | lint | docs | lock | wheel
VENV := .venv
BIN := $(VENV)/bin

DEMO := runs/demo
# A trained model that comes with the package.
PRETRAINED := pretrained/shapes_64_one_frame
# TensorFlow 2.21 has packages for no later Python than 3.13.
BASE_PYTHON := $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)

PICTURES := --temperature=0.2 --num_videos=4

# A process has files that follow each other, so that what they set up is set up once, and takes from the others when it
# is done; three processes keep two cores busy.
PYTEST_FLAGS := --numprocesses=3 --dist=worksteal

.PHONY: setup demo test test-all lint docs lock wheel

setup: $(VENV)/ready

# What the commands import. Python compiles a module when it is first imported, but keeps nothing where
# PYTHONDONTWRITEBYTECODE is set, as in many containers: every command would then compile TensorFlow again, 8 seconds. To
# compile all modules, most of which are never imported, takes as long as the rest of the set-up.
IMPORTED := tensorflow, tf_keras, tensorflow_probability, tensorflow_datasets, matplotlib.pyplot, tensorboard.main

# The stamp is the last thing written: an interrupted set-up is done again.
$(VENV)/ready: requirements.txt pyproject.toml
	@test -n "$(BASE_PYTHON)" || { echo "error: no python3 found; install Python 3.11, 3.12 or 3.13" >&2; exit 2; }
	@"$(BASE_PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $(BASE_PYTHON) is $$("$(BASE_PYTHON)" --version); install Python 3.11, 3.12 or 3.13" >&2; exit 2; }
	rm -rf $(VENV)
	"$(BASE_PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -c "import $(IMPORTED)" 2>/dev/null || true
	touch $@

# Killed and started again, the training goes on from its last checkpoint.
demo: setup
	$(BIN)/python launch/sample.py --workdir=$(PRETRAINED) --output_dir=runs/pretrained $(PICTURES) --num_frames=4 --num_samples=6
	$(BIN)/python launch/train.py --flagfile=launch/demo.flags --workdir=$(DEMO)
	$(BIN)/python launch/evaluate.py --workdir=$(DEMO) --metrics=bits_per_pixel,legal_futures --temperature=0.2 \
	  --num_samples=16 --num_videos=32
	$(BIN)/python launch/sample.py --workdir=$(DEMO) $(PICTURES) --num_frames=3 --num_samples=3

test: setup
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_FLAGS)

test-all: setup
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# site/index.html; a warning is an error.
docs: setup
	PYTHONPATH=. $(BIN)/python docs/generate.py
	$(BIN)/python -m zensical build --strict --clean

# Keeps the versions that are in requirements.txt already where pyproject.toml allows them.
lock:
	$(BIN)/uv pip compile --quiet --python-version 3.11 requirements.in --output-file requirements.txt

# dist/*.whl
wheel: setup
	$(BIN)/python -m hatchling build --target wheel
