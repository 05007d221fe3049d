# Every verb makes the environment in .venv first, if it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
# Most of the suite's time is XLA's: its older emitters take a third less of it.
QUICK_COMPILATION ?= --xla_cpu_use_fusion_emitters=false
PYTEST := XLA_FLAGS="$(QUICK_COMPILATION)" $(BIN)/python -m pytest -q \
  -n $(WORKERS) --dist worksteal

.PHONY: setup demo test check lint format bench clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.txt constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "posejax needs Python >= 3.11; set PYTHON=... to one" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  -r requirements.txt -c constraints.txt
	@# The desktop wheel of OpenCV wants libGL; without it, the headless one serves.
	@$(BIN)/python -c "import cv2" 2>/dev/null || { \
	  version=$$($(BIN)/python -c "import importlib.metadata as m; print(m.version('opencv-python'))"); \
	  echo "no libGL here: using opencv-python-headless $$version"; \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    "opencv-python-headless==$$version"; }
	@touch $@

demo: setup
	$(BIN)/python -m posejax.main --config configs/mse_natural.py

test: setup
	$(PYTEST)

check: lint
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m experiments.benchmarks.template_warp
	$(BIN)/python -m experiments.benchmarks.posture_pose
	$(BIN)/python -m experiments.benchmarks.flow_pose

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache *.egg-info
