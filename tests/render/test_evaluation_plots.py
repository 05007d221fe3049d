import numpy as np

from posejax.render.evaluation import (
    Evaluation,
    evaluation_figures,
    write_evaluation_plots,
)
from posejax.skeletons import TEMPLATE_15


def _evaluation(level, frames=20):
    rng = np.random.default_rng(round(100 * level))
    joints = dict(zip(TEMPLATE_15.joints, 100 * level * np.ones(15), strict=True))
    values = {
        "pdj_by_frame": rng.integers(0, 16, frames) / 15,
        "l2_by_frame": rng.random(frames) + 0.01,
        "joint_valid": np.ones((frames, 15), bool),
    }
    result = {
        "run": "r",
        "split": "test",
        "data": "sample",
        "per_joint": {"pdj": joints, "normalized_l2": joints},
    }
    return Evaluation(result, values)


def test_every_model_is_in_every_plot_under_its_own_name():
    models = {"a": _evaluation(0.1), "b": _evaluation(0.4)}
    figures = evaluation_figures(models, title="set")
    assert set(figures) == {
        "pdj_by_joint",
        "normalized_l2_by_joint",
        "pdj_by_frame",
        "l2_by_frame",
    }
    lines = figures["pdj_by_joint"].axes[0].lines
    assert [(line.get_label(), line.get_ydata()[0]) for line in lines] == [
        ("a", 10.0),
        ("b", 40.0),
    ]
    ticks = figures["pdj_by_frame"].axes[0].get_xticklabels()
    assert [tick.get_text() for tick in ticks] == ["a\n20 frames", "b\n20 frames"]


def test_frames_without_labels_do_not_count():
    entry = _evaluation(0.2)
    entry.values["joint_valid"][:5] = False
    figure = evaluation_figures({"a": entry})["l2_by_frame"]
    assert figure.axes[0].get_xticklabels()[0].get_text() == "a\n15 frames"


def test_a_joint_without_a_value_is_a_gap_in_the_line():
    entry = _evaluation(0.2)
    del entry.result["per_joint"]["pdj"]["chest"]
    line = evaluation_figures({"a": entry})["pdj_by_joint"].axes[0].lines[0]
    assert np.isnan(line.get_ydata()[0])
    assert np.isfinite(line.get_ydata()[1:]).all()


def test_values_in_joint_order_are_accepted():
    entry = _evaluation(0.2)
    entry.result["per_joint"]["pdj"] = list(range(15))
    line = evaluation_figures({"a": entry})["pdj_by_joint"].axes[0].lines[0]
    assert line.get_ydata()[0] == 7  # chest


def test_plots_of_one_run_are_written_under_the_name_of_the_split(tmp_path):
    entry = _evaluation(0.3)
    files = write_evaluation_plots(tmp_path, entry.result, entry.values)
    assert sorted(path.name for path in files) == [
        "test_l2_by_frame.png",
        "test_normalized_l2_by_joint.png",
        "test_pdj_by_frame.png",
        "test_pdj_by_joint.png",
    ]
    assert all(path.stat().st_size > 5000 for path in files)


def test_an_evaluation_without_labels_draws_nothing(tmp_path):
    assert (
        write_evaluation_plots(tmp_path, {"split": "test", "per_joint": {}}, {}) == []
    )
