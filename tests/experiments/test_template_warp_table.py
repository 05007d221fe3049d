import json

import numpy as np
import pytest

from experiments.template_warp import table
from posejax.skeletons import TEMPLATE_15


def _run(path, *, pdj, data="sample", frames=8):
    rng = np.random.default_rng(round(pdj))
    folder = path / "evaluation"
    folder.mkdir(parents=True)
    result = {
        "data": data,
        "split": "test",
        "step": 1000,
        "checkpoint": "best",
        "figures": {"pdj": pdj, "normalized_l2": 7.018, "frames": float(frames)},
        "per_joint": {
            "pdj": dict.fromkeys(TEMPLATE_15.joints, pdj),
            "normalized_l2": [7.0] * 15,
        },
        "baselines": {"resting template": {"pdj": 3.25, "normalized_l2": 11.0}},
    }
    (folder / "test.json").write_text(json.dumps(result))
    np.savez(
        folder / "test_frames.npz",
        pdj_by_frame=rng.random(frames),
        l2_by_frame=0.01 + rng.random(frames),
    )
    return path


def test_the_table_has_a_line_per_run_and_one_for_the_baseline(tmp_path, capsys):
    runs = [_run(tmp_path / "a", pdj=12.3), _run(tmp_path / "b", pdj=40.0)]
    table.main([str(run) for run in runs])
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines.pop(1)) == set("|-: ")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells == [
        ["run", "data", "step", "PDJ@0.05 [%]", "norm. L2 [% of side]", "frames"],
        ["a", "sample", "1000 (best)", "12.30", "7.02", "8"],
        ["resting template", "sample", "-", "3.25", "11.00", "-"],
        ["b", "sample", "1000 (best)", "40.00", "7.02", "8"],
    ]


def test_comparison_plots_and_the_table_are_written(tmp_path, capsys):
    runs = [_run(tmp_path / "a", pdj=12.3), _run(tmp_path / "b", pdj=40.0)]
    output = tmp_path / "out"
    table.main([*(str(run) for run in runs), "--output", str(output)])
    assert sorted(path.name for path in output.iterdir()) == [
        "l2_by_frame.png",
        "normalized_l2_by_joint.png",
        "pdj_by_frame.png",
        "pdj_by_joint.png",
        "table.md",
    ]
    assert (output / "table.md").read_text() in capsys.readouterr().out


def test_runs_on_different_data_are_called_incomparable(tmp_path, capsys):
    first = _run(tmp_path / "a", pdj=1.0)
    second = _run(tmp_path / "b", pdj=2.0, data="human36m")
    table.main([str(first), str(second)])
    printed = capsys.readouterr().out
    assert "do not compare" in printed
    assert "resting template (human36m)" in printed


def test_two_runs_of_one_name_stay_apart(tmp_path):
    runs = [_run(tmp_path / "x" / "a", pdj=1.0), _run(tmp_path / "y" / "a", pdj=2.0)]
    found = table.read_evaluations(runs, "test")
    assert {name: entry.result["figures"]["pdj"] for name, entry in found.items()} == {
        "x/a": 1.0,
        "y/a": 2.0,
    }
    file = runs[0] / "evaluation" / "test.json"
    assert list(table.read_evaluations([file, file], "test")) == ["x/a", "x/a (2)"]


def test_a_run_that_was_not_evaluated_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"test\.json does not exist; run"):
        table.main([str(tmp_path / "none")])


def test_a_file_that_is_no_evaluation_is_named(tmp_path):
    (tmp_path / "x.json").write_text("[1, 2]")
    with pytest.raises(SystemExit, match="no evaluation"):
        table.main([str(tmp_path / "x.json")])
