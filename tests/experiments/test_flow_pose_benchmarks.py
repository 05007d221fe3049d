"""The benchmark of flow_pose at tiny sizes, our side only."""

import json
import pathlib

import numpy as np
import pytest

from experiments.benchmarks import (
    flow_pose,
    flow_pose_files,
    flow_pose_report,
    our_flow_pose,
    processes,
)
from posejax.models import raft_network

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAMES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow")
    words = ["--folder", str(folder), "--sizes", "16x24", f"--frames={FRAMES}"]
    flow_pose_files.main(words)
    return folder


def options_of(files, kind, *more):
    sizes = ("--height=16", "--width=24", "--updates=1", "--variant=small")
    calls = ("--warmup=0", "--repeats=2", "--pose_steps=2")
    return our_flow_pose.parse(
        [f"--kind={kind}", f"--files={files}", *sizes, *calls, *more]
    )


def test_the_second_frame_is_the_first_moved_by_about_the_flow(files):
    with np.load(files / "pair_16x24.npz") as file:
        first, second, flow = (file[n] for n in ("image_1", "image_2", "flow"))
    assert first.shape == second.shape == (2, 16, 24, 3)
    assert flow.shape == (2, 16, 24, 2)
    moved = np.roll(first, (2, 3), (1, 2)).astype(float)
    assert np.abs(second - moved).mean() < 5
    np.testing.assert_allclose(flow.mean((0, 1, 2)), [3, 2], atol=0.6)


def test_the_body_stays_within_the_frame_on_both_sides_of_every_pair(files):
    variables, clip = our_flow_pose.load_clip(options_of(files, "pose_energy"))
    assert variables.pose.shape == (FRAMES, 14, 3)
    assert clip.flow.shape[0] == FRAMES - 1
    seen = np.asarray(clip.detections)[np.asarray(clip.confidence) > 0]
    assert seen.min() > 8
    assert seen.max() < flow_pose_files.PICTURE - 8
    assert not np.asarray(clip.confidence)[:, flow_pose_files.UNDETECTED].any()


def test_the_pose_energy_is_timed_per_step(files):
    found = our_flow_pose.measured(options_of(files, "pose_energy"))
    assert found["steps_per_call"] == 3  # 1 + warmup + repeats, more than asked for
    assert found["items"] == FRAMES
    assert len(found["seconds"]) == 2
    assert 0 < found["check"] < 1000


@pytest.mark.slow
def test_the_energy_is_read_where_the_reference_ends_however_many_steps(files):
    short = our_flow_pose.measured(options_of(files, "pose_energy"))
    words = options_of(files, "pose_energy", "--pose_steps=7")
    long = our_flow_pose.measured(words)
    assert long["steps_per_call"] == 7
    assert long["check"] == pytest.approx(short["check"], rel=1e-5)
    later = our_flow_pose.measured(options_of(files, "pose_energy", "--warmup=3"))
    assert later["check"] < short["check"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["forward", "train", "finetune"])
def test_the_network_is_timed_and_gives_a_number_to_compare(files, kind):
    found = our_flow_pose.measured(options_of(files, kind))
    assert len(found["seconds"]) == 2
    assert min(found["seconds"]) > 0
    assert found["items"] == 1
    assert found["check"] > 0
    assert found["compiled_mb"] > 0


@pytest.mark.slow
def test_fine_tuning_goes_on_from_step_to_step(files):
    short = our_flow_pose.measured(options_of(files, "finetune"))
    long = our_flow_pose.measured(options_of(files, "finetune", "--warmup=4"))
    assert long["check"] < short["check"]


@pytest.mark.slow
def test_no_number_is_compared_in_reduced_precision(files):
    words = "--compute_dtype=bfloat16"
    assert our_flow_pose.measured(options_of(files, "forward", words))["check"] is None


def test_a_result_that_is_not_finite_is_refused(files, monkeypatch):
    kinds = {"forward": lambda options: {"check": float("nan")}}
    monkeypatch.setattr(our_flow_pose, "KINDS", kinds)
    with pytest.raises(ValueError, match="forward computes nan"):
        our_flow_pose.measured(options_of(files, "forward"))


def test_every_case_names_work_a_size_and_a_known_reference():
    for case in flow_pose.CASES.values():
        assert case.kind in our_flow_pose.KINDS
        assert f"{case.size}_size" in flow_pose.SIZES
        assert case.reference in (None, *flow_pose.REFERENCES)
        assert (case.reference is None) == (case.aim is None)
        assert case.compared_with in (None, *flow_pose.CASES)
        raft_network(case.variant, corr=case.corr, remat=case.remat)


@pytest.mark.parametrize("name", ["raft", "bhfp"])
def test_a_folder_that_is_no_checkout_is_refused_in_one_line(tmp_path, name):
    holds = flow_pose.REFERENCES[name][1]
    with pytest.raises(SystemExit, match=f"--reference_{name} .* has no {holds}") as at:
        flow_pose.main([f"--reference_{name}", str(tmp_path)])
    assert "\n" not in str(at.value)


@pytest.mark.parametrize("size", ["440", "440x1023", "axb", "440x1024x3"])
def test_a_size_that_the_network_cannot_take_is_refused(capsys, size):
    with pytest.raises(SystemExit):
        flow_pose.parse([f"--train_size={size}"])
    assert "multiples of 8" in capsys.readouterr().err


def test_a_case_runs_both_sides_with_the_same_work_only_with_its_checkout(tmp_path):
    options = flow_pose.parse(["--train_size=128x136"])
    alone = flow_pose.commands(options, "train_large_2", tmp_path, {"bhfp": ROOT})
    assert list(alone) == ["ours"]
    both = flow_pose.commands(options, "train_large_2", tmp_path, {"raft": ROOT})
    assert list(both) == ["ours", "reference"]
    shared = {word for word in both["reference"] if word in both["ours"]}
    assert shared >= {"--height=128", "--width=136", "--batch_size=2", "--updates=12"}
    assert shared >= {"--kind=train", "--variant=large", "--repeats=3"}


def _side(seconds, *, compiled=None, check=1.0):
    record = {
        "seconds": seconds,
        "items": 1,
        "compile_seconds": 2.0,
        "check": check,
        "peak_rss_mb": 500.0,
        "peak_device_mb": None,
        "versions": {"jax": "1"},
        "device": "cpu",
    }
    row = processes.item_summary([record])
    return row if compiled is None else row | {"compiled_mb": compiled}


def test_a_page_states_calls_ratios_aims_and_what_variants_cost():
    names = {"frames": "16x24", "aim": 1.0, "reference_name": "a/b"}
    plain = processes.compared(
        {
            **names,
            "name": "forward_large_12",
            "compared_with": None,
            "ours": _side([0.5], compiled=100.0),
            "reference": _side([1.0]),
        }
    )
    variant = {
        **names,
        "name": "on_the_fly",
        "compared_with": "forward_large_12",
        "ours": _side([0.75], compiled=40.0),
    }
    page = flow_pose_report.markdown(
        {
            "date": "2026-01-01",
            "commit": "abc",
            "reference_commits": {"a/b": "def"},
            "machine": {"processor": "p", "cores": 2, "memory_gb": 1.0},
            "load": 0.25,
            "frames": 40,
            "pose_steps": 3,
            "updates": 2,
            "compute_dtype": "float32",
            "rounds": 1,
            "repeats": 2,
            "cases": [plain, variant],
        }
    )
    lines = [line.strip("|").split("|") for line in page.splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert ["forward_large_12", "2.00", "2.00", "1.00", "1.00", "a/b"] in rows
    assert ["on_the_fly / forward_large_12", "1.50", "1.00", "0.40"] in rows
    assert "a/b at def" in page
    assert "2 updates in all cases" in page
    assert "before the first measurement: 0.2" in page


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in half
    flow_pose.main(
        [
            *("--cases", "forward_small_12", "pose_energy"),
            *("--forward_size=16x24", "--updates=1", "--frames=4", "--pose_steps=2"),
            *("--rounds=1", "--warmup=0", "--repeats=2", f"--output={tmp_path}"),
        ]
    )
    result = json.loads((tmp_path / "flow_pose.json").read_text())
    forward, energy = result["cases"]
    assert forward["ours"]["items"] == 1
    assert forward["ours"]["compiled_mb"] > 1
    assert energy["ours"]["steps_per_call"] == 3
    page = (tmp_path / "flow_pose.md").read_text()
    assert page in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2
