import json
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from experiments.benchmarks import (
    flops,
    measure,
    pages,
    processes,
    report,
    template_warp,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_matrix_product_costs_two_operations_per_multiply_add():
    a, b = jnp.ones((3, 4, 5)), jnp.ones((3, 5, 6))
    assert flops.matrix_flops(jax.jit(jnp.matmul), a, b) == 2 * 3 * 4 * 5 * 6


def test_a_convolution_and_its_gradients_cost_three_times_the_forward_pass():
    x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5))

    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def loss(x, kernel):
        return jnp.sum(convolve(x, kernel) ** 2)

    forward = 2 * 2 * 8 * 8 * 5 * 27
    assert flops.matrix_flops(convolve, x, kernel) == forward
    gradient = jax.grad(loss, argnums=(0, 1))
    assert flops.matrix_flops(gradient, x, kernel) == 3 * forward


def test_zeros_between_strided_outputs_are_not_counted():
    x, kernel = jnp.ones((1, 8, 8, 1)), jnp.ones((2, 2, 1, 1))

    def loss(x):
        y = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return jnp.sum(y**2)

    forward = 2 * 4 * 4 * 4
    assert flops.matrix_flops(jax.grad(loss), x) == 2 * forward


def test_a_loop_counts_each_of_its_rounds():
    a = jnp.ones((4, 4))

    def power(a):
        return jax.lax.scan(lambda x, _: (x @ a, None), a, None, length=7)[0]

    assert flops.matrix_flops(power, a) == 7 * 2 * 4**3


def test_peak_memory_grows_with_a_large_array():
    # In a process of its own: the peak of this one may be far above both values.
    code = (
        "from experiments.benchmarks import measure\n"
        "before = measure.peak_memory_mb()\n"
        "block = b'x' * 80_000_000\n"
        "print(before, measure.peak_memory_mb())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(float, printed.stdout.split())
    assert 70 < after - before < 120


def test_calls_are_warmed_up_before_they_are_measured():
    calls = []
    seconds = measure.timed_calls(lambda: calls.append(1), warmup=2, repeats=5)
    assert len(calls) == 7
    assert len(seconds) == 5
    assert measure.spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("baseline", ("model_baseline", "t_pose")),
        ("mse_natural", ("model_mse", "natural")),
        ("mse_natural_twostepwarp", ("model_mse_twostepwarp", "natural")),
        ("constrained", ("model_constrained", "natural")),
    ],
)
def test_each_config_is_compared_with_the_model_it_stands_for(config, expected):
    file = ROOT / "configs" / f"{config}.py"
    assert template_warp.reference_model(str(file)) == expected


def _row(seconds, peak):
    return {
        "seconds": seconds,
        "compile_seconds": 4.0,
        "peak_rss_mb": peak,
        "peak_device_mb": None,
        "gflop": 10.0,
        "matmul_gflops": 50.0,
        "versions": {"jax": "1"},
        "device": "cpu",
    }


def test_a_page_states_medians_ratios_and_the_share_of_the_peak():
    ours = template_warp.summary([_row([0.5, 0.4], 900.0), _row([0.6], 1000.0)], 4)
    theirs = template_warp.summary([_row([1.0], 800.0)], 4)
    assert ours["seconds"]["median"] == 0.5
    assert ours["peak_rss_mb"] == 1000.0
    assert ours["share_of_peak"] == pytest.approx(10 / 0.5 / 50)
    case = {"config": "mse_natural", "ours": ours, "reference": theirs}
    case |= {"speed_ratio": 2.0, "memory_ratio": 1.25}
    case["pieces"] = {"VGG features, forward": {"seconds": 0.1, "gflop": 2.0}}
    page = report.markdown(
        {
            "date": "2026-01-01",
            "commit": "abc",
            "reference_commit": "def",
            "machine": {"processor": "p", "cores": 2, "memory_gb": 1.0},
            "image_size": 64,
            "batch_size": 4,
            "compute_dtype": "float32",
            "warp": "sampling",
            "steps_per_call": 1,
            "narrow": 1,
            "rounds": 2,
            "repeats": 2,
            "cases": [case],
        }
    )
    assert "theirs / ours 2.00 in time; ours / theirs 1.25 in peak memory" in page
    row = next(line for line in page.splitlines() if "mse_natural, ours" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:] == [
        "0.50",
        "0.400-0.600",
        "8.00",
        "4.00",
        "1000",
        "10.00",
        "20.00",
        "40.00",
    ]
    piece = next(line for line in page.splitlines() if "VGG features" in line)
    assert [cell.strip() for cell in piece.strip("|").split("|")][1:] == [
        "100.0",
        "20.0",
        "2.0",
        "40.0",
    ]


def test_a_folder_that_is_no_checkout_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"has no code/models/model_mse\.py"):
        template_warp.main(
            ["--configs", "configs/mse_natural.py", "--reference_dir", str(tmp_path)]
        )


def test_a_measurement_that_fails_is_reported_in_one_line():
    with pytest.raises(RuntimeError, match="failed: ValueError: no"):
        processes.run_process(
            [sys.executable, "-c", "raise ValueError('no')"], timeout=60.0
        )


def test_the_sides_of_a_case_run_one_after_the_other(monkeypatch, capsys):
    started = []

    def run_process(command, *, timeout):
        started.append((*command, timeout))
        return {"number": len(started)}

    monkeypatch.setattr(processes, "run_process", run_process)
    sides = {"ours": ["a"], "reference": ["b"]}
    found = processes.in_turn("case", sides, rounds=2, timeout=9.0)
    assert started == [("a", 9.0), ("b", 9.0), ("a", 9.0), ("b", 9.0)]
    assert found["ours"] == [{"number": 1}, {"number": 3}]
    assert found["reference"] == [{"number": 2}, {"number": 4}]
    said = capsys.readouterr().err.splitlines()
    assert said[1] == "case: reference, round 1 of 2"


def test_memory_of_the_device_is_shown_only_where_there_is_some():
    row = _row([1.0], 899.6)
    assert pages.costs("ours", row) == {"compile": 4.0, "peak memory": 900}
    row["peak_device_mb"] = 70.2
    shown = {"compile": None, "peak memory": 900, "device memory": 70}
    assert pages.costs("reference", row) == shown


def test_results_replace_older_ones_and_leave_no_drafts(tmp_path):
    folder = tmp_path / "new" / "results"
    for commit in ("a", "b"):
        pages.write(folder, "v1.5", result={"commit": commit}, page=f"# {commit}")
    assert sorted(file.name for file in folder.iterdir()) == ["v1.5.json", "v1.5.md"]
    assert json.loads((folder / "v1.5.json").read_text()) == {"commit": "b"}
    assert (folder / "v1.5.md").read_text() == "# b\n"


def test_a_process_of_a_reference_needs_torch_and_nothing_of_ours(tmp_path):
    (tmp_path / "torch.py").write_text(
        "__version__ = '9.9'\n"
        "class cuda:\n"
        "    is_available = staticmethod(lambda: False)\n"
    )
    (tmp_path / "kornia.py").write_text("__version__ = '0.9'\n")
    code = (
        "import json, kornia, sys, torch_process\n"
        "torch_process.synchronize()\n"
        "assert not {'jax', 'numpy', 'posejax'} & set(sys.modules)\n"
        "print(json.dumps(torch_process.usage(kornia)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "experiments" / "benchmarks",
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(printed.stdout)
    assert list(found["versions"]) == ["python", "torch", "kornia"]
    assert found["versions"]["kornia"] == "0.9"
    assert found["peak_rss_mb"] > 1
    assert (found["peak_device_mb"], found["device"]) == (None, "cpu")


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in half
    sizes = ["--image_size=64", "--batch_size=2", "--narrow=16", "--warmup=1"]
    template_warp.main(
        [
            "--configs",
            "configs/mse_natural.py",
            *sizes,
            "--rounds=1",
            "--repeats=2",
            "--pieces",
            f"--output={tmp_path}",
        ]
    )
    result = json.loads((tmp_path / "template_warp.json").read_text())
    ours = result["cases"][0]["ours"]
    assert ours["seconds"]["median"] > 0
    assert ours["gflop"] > 0.01
    assert ours["peak_rss_mb"] > 100
    assert ours["compile_seconds"] > 0
    assert "translator, with gradient" in result["cases"][0]["pieces"]
    page = (tmp_path / "template_warp.md").read_text()
    assert page in capsys.readouterr().out
    assert "mse_natural, ours" in page
