"""Settings of the suite: eight virtual devices, a compilation cache, strict JAX."""

import os
import pathlib

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest

CACHE = pathlib.Path(__file__).parent.parent / ".cache" / "jax"
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_rank_promotion", "raise")

# Small programs, run once or twice: to optimise them takes longer than to run them.
# What is compared with stored values is optimised, as a user's program is.
UNOPTIMIZED = (
    "geometry", "losses", "metrics", "priors", "test_configs", "test_transformations",
    "test_configs_of_flow", "test_flow_pose_benchmarks", "test_flow_pose_experiments",
)  # fmt: skip

# Tests (with all their cases) that `make check` cannot afford, as measured; the rest
# of those marked slow say so themselves.
SLOW = frozenset((pathlib.Path(__file__).parent / "slow_tests.txt").read_text().split())


def pytest_collection_modifyitems(items):
    """Marks the tests of `slow_tests.txt` as slow."""
    for item in items:
        if item.nodeid.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def compiled_quickly(request):
    """Compiles small programs without optimising them."""
    names = {request.path.parent.name, request.path.stem}
    is_small = bool(names & set(UNOPTIMIZED))
    is_golden = request.node.get_closest_marker("golden") is not None
    jax.config.update("jax_disable_most_optimizations", is_small and not is_golden)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def float64():
    """Runs the test in float64."""
    with jax.enable_x64(True):
        yield
