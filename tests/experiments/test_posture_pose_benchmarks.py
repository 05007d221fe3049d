"""The benchmark of posture_pose at tiny sizes, our side only."""

import json
import pathlib

import numpy as np
import pytest

from experiments.benchmarks import (
    our_posture_pose,
    posture_pose,
    posture_pose_files,
    posture_pose_report,
    processes,
)
from posejax import training

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Multiples of the eight devices that the tests run on.
TINY = ("--channels=8", "--batch_size=16", "--num_groups=8", "--poses=64")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    posture_pose_files.prepare_files(folder, frames=40, recordings=1, poses=64)
    return folder


def options_of(files, kind, *more):
    calls = ("--warmup=1", "--repeats=2")
    return our_posture_pose.parse(
        [f"--kind={kind}", f"--files={files}", *TINY, *calls, *more]
    )


def test_the_files_are_those_of_both_scripts(files):
    with np.load(files / "data" / "data_3d_h36m.npz", allow_pickle=True) as file:
        bodies = file["positions_3d"].item()
    assert sorted(bodies) == ["S1", "S11", "S5", "S6", "S7", "S8", "S9"]
    assert bodies["S9"]["Walking"].shape == (40, 32, 3)
    with np.load(files / "data" / "data_2d_h36m_gt.npz", allow_pickle=True) as file:
        keypoints, metadata = file["positions_2d"].item(), file["metadata"].item()
    assert [view.shape for view in keypoints["S9"]["Walking"]] == 4 * [(40, 17, 2)]
    assert metadata["keypoints_symmetry"][0] == [4, 5, 6, 11, 12, 13]


@pytest.mark.parametrize(
    ("config", "windows"),
    [
        ("videopose3d_gt_27", 16),
        pytest.param("posture_pose_gt_1", 16 + 8 * 4, marks=pytest.mark.slow),
    ],
)
def test_training_is_timed_step_by_step(files, monkeypatch, config, windows):
    monkeypatch.chdir(ROOT)
    name = f"--config=configs/{config}.py"
    found = our_posture_pose.measure_training(
        options_of(files, "train", name, "--filter_widths=1")
    )
    assert len(found["seconds"]) == 2
    assert min(found["seconds"]) > 0
    assert found["items"] == windows
    assert found["steps_per_call"] == training.default_steps_per_call()
    assert np.isfinite(found["total"])


@pytest.mark.parametrize(("kind", "items"), [("losses", 16), ("p_mpjpe", 64)])
def test_functions_alone_are_timed_and_give_a_number_to_compare(files, kind, items):
    found = our_posture_pose.KINDS[kind](options_of(files, kind))
    assert len(found["seconds"]) == 2
    assert found["items"] == items
    assert 0.01 < found["check"] < 0.5  # metres: the noise between the bodies


def test_every_case_names_a_config_and_a_known_reference():
    for case in posture_pose.CASES.values():
        assert (ROOT / "configs" / f"{case.config}.py").is_file()
        assert case.reference in (None, *posture_pose.REFERENCES)
        assert (case.reference is None) == (case.aim is None)
        assert case.compared_with in (None, *posture_pose.CASES)


def test_the_backend_decides_how_many_steps_a_call_takes():
    assert training.default_steps_per_call("cpu") == 1
    assert training.default_steps_per_call("gpu") > 1
    assert posture_pose.CASES["train_27"].steps_per_call == 0
    assert posture_pose.CASES["train_27_scan"].steps_per_call > 1


@pytest.mark.parametrize("name", ["videopose3d", "posereg"])
def test_a_folder_that_is_no_checkout_is_refused_in_one_line(tmp_path, name):
    script = posture_pose.REFERENCES[name][1]
    with pytest.raises(SystemExit, match=f"--{name}_dir .* has no {script}") as stop:
        posture_pose.main([f"--{name}_dir", str(tmp_path)])
    assert "\n" not in str(stop.value)


def test_a_case_runs_both_sides_only_with_its_checkout(tmp_path):
    options = posture_pose.parse(["--cases", "semi_27"])
    alone = posture_pose.commands(options, "semi_27", tmp_path, {"videopose3d": ROOT})
    assert list(alone) == ["ours"]
    both = posture_pose.commands(options, "semi_27", tmp_path, {"posereg": ROOT})
    assert list(both) == ["ours", "reference"]
    shared = [word for word in both["reference"] if word in both["ours"]]
    assert "--config=configs/posture_pose_gt_27.py" in shared


def _side(*rounds, check=None, items=10, peak=500.0):
    return processes.item_summary(
        [
            {
                "seconds": list(seconds),
                "items": items,
                "compile_seconds": 2.0,
                "steps_per_call": 1,
                "check": check,
                "peak_rss_mb": peak,
                "peak_device_mb": None,
                "versions": {"jax": "1"},
                "device": "cpu",
            }
            for seconds in rounds
        ]
    )


def _case(ours, theirs, **more):
    names = {"name": "train_27", "reference_name": "a/b", "compared_with": None}
    return names | {"aim": 1.6, "ours": ours, "reference": theirs} | more


def test_ratios_are_theirs_to_ours_over_all_rounds_and_by_round():
    case = processes.compared(
        _case(_side([0.5, 0.4], [0.6]), _side([1.0, 1.2], [1.2], peak=250.0))
    )
    assert case["speed_ratio"] == pytest.approx(1.2 / 0.5)
    assert case["ratio_of_rounds"] == pytest.approx([1.1 / 0.45, 2.0])
    assert case["memory_ratio"] == 2.0
    assert case["ours"]["items_per_second"] == pytest.approx(20.0)


@pytest.mark.parametrize("difference", [{"check": 0.11}, {"check": 0.1, "items": 9}])
def test_sides_that_compute_different_things_are_not_compared(difference):
    with pytest.raises(RuntimeError, match="cannot be compared"):
        processes.compared(_case(_side([1.0], check=0.1), _side([1.0], **difference)))


def test_a_page_states_calls_ratios_aims_parts_and_the_load_of_the_machine():
    case = processes.compared(_case(_side([0.5]), _side([1.0])))
    case["pieces"] = {"optimiser": {"seconds": 0.1, "gflop": 1.0}}
    scan = _case(_side([2.0]), None, name="train_27_scan", compared_with="train_27")
    del scan["reference"]
    page = posture_pose_report.markdown(
        {
            "date": "2026-01-01",
            "commit": "abc",
            "reference_commits": {"a/b": "def"},
            "machine": {"processor": "p", "cores": 2, "memory_gb": 1.0},
            "load": 0.25,
            "frames": 40,
            "recordings": 1,
            "compute_dtype": "float32",
            "rounds": 1,
            "repeats": 2,
            "cases": [case, scan],
        }
    )
    lines = [line.strip("|").split("|") for line in page.splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines]
    assert ["train_27, ours", "500.00", "500.00-500.00", "20", "2.00", "500"] in rows
    assert ["train_27", "2.00", "2.00", "1.60", "1.00", "a/b"] in rows
    assert ["optimiser", "100.0", "20.0", "1.0", "10.0"] in rows
    assert "a/b at def" in page
    assert "before the first measurement: 0.2" in page
    assert "train_27_scan: a step takes 4.00 times the time of train_27" in page


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles in half
    posture_pose.main(
        [
            *("--cases", "train_1", "evaluate_27"),
            *("--frames=40", "--recordings=1", "--rounds=1", "--warmup=1"),
            *("--repeats=2", "--filter_widths=3", "--pieces", f"--output={tmp_path}"),
            *TINY,
        ]
    )
    result = json.loads((tmp_path / "posture_pose.json").read_text())
    training_case, evaluation = result["cases"]
    assert training_case["ours"]["items"] == 16
    assert training_case["ours"]["peak_rss_mb"] > 100
    assert "optimiser" in training_case["pieces"]
    assert evaluation["ours"]["items"] == 40
    page = (tmp_path / "posture_pose.md").read_text()
    assert page in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 2
