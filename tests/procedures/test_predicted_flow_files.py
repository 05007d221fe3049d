"""Files of flow: how pairs are named, what is measured of them, what has a default."""

import json

import cv2
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import raft_chairs
from posejax.procedures import flow_files
from posejax.procedures.flow_files import FlowOutput, asked_output

# Pixels that count, their errors, those within 1, 3 and 5 px, outliers.
HALF_RIGHT = np.array([10, 20, 5, 5, 10, 5.0])
UNKNOWN = np.zeros(6)


def folder(path, names):
    path.mkdir()
    for name in names:
        cv2.imwrite(str(path / name), np.zeros((8, 9, 3), np.uint8))
    return path


def names_of(path):
    pairs = flow_files.read_pairs(flow_files.open_flow_input(str(path)))
    return [(pair.name, *pair.frames) for pair in pairs]


def test_pairs_are_named_by_their_first_frame_in_natural_order(tmp_path):
    path = folder(tmp_path / "in", ["f10.png", "f9.png", "f11.png"])
    assert names_of(path) == [
        ("f9", "f9.png", "f10.png"), ("f10", "f10.png", "f11.png")
    ]  # fmt: skip


def test_files_of_one_stem_keep_their_suffix(tmp_path):
    path = folder(tmp_path / "in", ["1.png", "1.bmp", "2.png"])
    assert [row[0] for row in names_of(path)] == ["1.bmp", "1.png"]


def test_a_name_with_a_comma_that_is_there_is_one_input(tmp_path):
    path = folder(tmp_path / "walk, slow", ["1.png", "2.png"])
    assert flow_files.open_flow_input(str(path)).kind == "folder"


def test_means_are_over_pairs_with_true_flow_and_over_pixels(tmp_path, capsys):
    exact = np.array([30, 0, 30, 30, 30, 0.0])
    means = flow_files.write_report(
        tmp_path, ["a", "b", "c"], [HALF_RIGHT, UNKNOWN, exact]
    )
    assert means["mean_of_pairs"] == {
        "epe": 1.0, "within_1px": 75.0, "within_3px": 75.0, "within_5px": 100.0,
        "f1_all": 25.0,
    }  # fmt: skip
    assert means["all_pixels"] == {
        "epe": 0.5, "within_1px": 87.5, "within_3px": 87.5, "within_5px": 100.0,
        "f1_all": 12.5,
    }  # fmt: skip
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["pairs"]["b"]["epe"] is None
    assert report["units"]["f1_all"] == "%"
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert "F1-all %" in lines[1]
    assert table["b"] == ["-"] * 5
    assert table["all_pixels"] == ["0.500", "87.500", "87.500", "100.000", "12.500"]


def test_nothing_known_has_no_figures(tmp_path):
    means = flow_files.write_report(tmp_path, ["a"], [UNKNOWN])
    assert set(means["mean_of_pairs"].values()) == {None}
    assert set(means["all_pixels"].values()) == {None}


def test_a_long_table_is_printed_by_its_means_only(tmp_path, capsys):
    names = [f"{n:06d}" for n in range(41)]
    flow_files.write_report(tmp_path, names, [HALF_RIGHT] * 41)
    text = capsys.readouterr().out
    assert "mean_of_pairs" in text
    assert "000000" not in text
    assert f"(41 pairs; each is in {tmp_path}/report.csv)" in text
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 1 + 41 + 2


def test_exact_formats_of_true_flow_come_before_a_picture_of_that_name(tmp_path):
    path = folder(tmp_path / "in", ["1.png", "2.png"])
    flow_files.write_flow(path / "1.flo", np.ones((8, 9, 2), np.float32))
    source = flow_files.open_flow_input(str(path))
    assert flow_files.truth_files(str(path), source) == {"1": path / "1.flo"}


def test_a_file_is_no_folder_for_all_that_is_written(tmp_path):
    path = folder(tmp_path / "in", ["1.png", "2.png"])
    source = flow_files.open_flow_input(str(path))
    for name in ("new.flo", "in/1.png"):
        with pytest.raises(ValueError, match="is a file; name a folder"):
            flow_files.output_folder(str(tmp_path / name), tmp_path, source)


def test_a_section_has_defaults_for_what_it_lacks():
    assert asked_output(None) == FlowOutput()
    assert asked_output(ConfigDict({"format": "kitti"})) == FlowOutput(format="kitti")
    assert asked_output(raft_chairs.get_config().output) == FlowOutput()


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", "pfm"), ("picture", "above"), ("padding", "same"),
     ("max_length", -1.0), ("updates", -1)],
)  # fmt: skip
def test_a_field_that_is_not_legal_is_named(field, value):
    with pytest.raises(ValueError, match=rf"config\.output\.{field} is .*; expected"):
        asked_output(ConfigDict({field: value}))
