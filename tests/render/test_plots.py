import json

import cv2
import numpy as np
import pytest

from posejax.render.plots import (
    LOG_NORMALIZED_L2,
    NORMALIZED_L2,
    curve_figure,
    distribution_figure,
    joint_figure,
    read_metrics,
    write_figure,
)
from posejax.skeletons import TEMPLATE_15
from posejax.templates import PLOT_ORDER

RNG = np.random.default_rng(0)


def _legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_line_of_a_joint_plot_is_its_own_model_in_the_given_order():
    values = {"first": RNG.random(15), "second": RNG.random(15)}
    figure = joint_figure(values, joints=TEMPLATE_15.joints, order=PLOT_ORDER)
    axes = figure.axes[0]
    assert _legend_texts(figure) == ["first", "second"]
    for line, (name, row) in zip(axes.lines, values.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_allclose(line.get_ydata(), row[list(PLOT_ORDER)])
    ticks = [tick.get_text() for tick in axes.get_xticklabels()]
    assert ticks[:3] == ["chest", "abdomen", "neck"]
    assert ticks[-1] == "wristL"
    assert "PDJ@0.05" in axes.get_ylabel()


def test_lines_differ_in_more_than_colour():
    values = {str(n): RNG.random(15) for n in range(8)}
    figure = joint_figure(values, joints=TEMPLATE_15.joints, measure=NORMALIZED_L2)
    looks = [(line.get_color(), line.get_marker()) for line in figure.axes[0].lines]
    assert len({color for color, _ in looks}) == 8
    assert len({marker for _, marker in looks}) == 8
    assert figure.axes[0].get_ylim()[0] == 0.0


def test_a_row_that_is_not_one_value_per_joint_is_refused():
    with pytest.raises(ValueError, match=r"values\['a'\] has 14 entries"):
        joint_figure({"a": np.zeros(14)}, joints=TEMPLATE_15.joints)
    with pytest.raises(ValueError, match="values is empty"):
        joint_figure({}, joints=TEMPLATE_15.joints)


def test_boxes_show_the_median_of_the_logarithm_and_count_what_is_left_out():
    row = np.array([0.01, 0.1, 1.0, np.nan, 0.0])
    figure = distribution_figure(
        {"a_long_name_of_a_run": row, "b": np.array([0.1, 0.1])},
        measure=LOG_NORMALIZED_L2,
    )
    axes = figure.axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == ["a_long_name_\nof_a_run\n3 frames\n2 left out", "b\n2 frames"]
    medians = [
        line.get_ydata()[0] for line in axes.lines if line.get_color() == "white"
    ]
    np.testing.assert_allclose(medians, [-1.0, -1.0])
    assert "log" in axes.get_ylabel()


def test_a_model_without_any_value_is_refused():
    with pytest.raises(ValueError, match="no finite value to draw among its 2"):
        distribution_figure({"a": np.array([np.nan, np.inf])})


def test_metrics_are_read_per_name_and_a_torn_last_line_is_ignored(tmp_path):
    lines = [{"step": 1, "loss": 2.0, "note": "x"}, {"step": 2, "loss": 1.0, "pdj": 3}]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"step": 3, "lo'
    (tmp_path / "metrics.jsonl").write_text(text)
    curves = read_metrics(tmp_path / "metrics.jsonl")
    assert set(curves) == {"loss", "pdj"}
    np.testing.assert_array_equal(curves["loss"], [[1.0, 2.0], [2.0, 1.0]])
    np.testing.assert_array_equal(curves["pdj"], [[2.0, 3.0]])


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_metrics(tmp_path / "m.jsonl")
    with pytest.raises(FileNotFoundError):
        read_metrics(tmp_path / "none.jsonl")


def test_curves_have_labels_and_a_logarithmic_axis():
    steps = np.arange(400.0)
    curves = {
        "pixel": np.stack([steps, np.exp(-steps / 100)], axis=-1),
        "anchor": np.array([[1.0, 0.5], [2.0, 0.0], [3.0, np.nan]]),
    }
    figure = curve_figure(curves)
    axes = figure.axes[0]
    assert _legend_texts(figure) == ["pixel", "anchor"]
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "training step"
    anchor = next(line for line in axes.lines if line.get_label() == "anchor")
    np.testing.assert_array_equal(anchor.get_xdata(), [1.0])  # zero has no logarithm


def test_a_written_plot_has_the_asked_size_and_ink_and_is_reproducible(tmp_path):
    figure = joint_figure({"a": RNG.random(15)}, joints=TEMPLATE_15.joints)
    write_figure(tmp_path / "p" / "a.png", figure, dots_per_inch=50)
    write_figure(tmp_path / "p" / "b.png", figure, dots_per_inch=50)
    first = (tmp_path / "p" / "a.png").read_bytes()
    assert first == (tmp_path / "p" / "b.png").read_bytes()
    picture = cv2.imread(str(tmp_path / "p" / "a.png"))
    assert picture.shape == (210, 400, 3)
    assert 0.01 < (picture < 250).any(axis=-1).mean() < 0.5


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_vector_formats_are_written_and_others_refused(tmp_path, suffix):
    figure = curve_figure({"a": np.array([[1.0, 1.0], [2.0, 3.0]])}, logarithmic=False)
    write_figure(tmp_path / f"a{suffix}", figure)
    assert (tmp_path / f"a{suffix}").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"must end in \.png"):
        write_figure(tmp_path / "a.bmp", figure)
