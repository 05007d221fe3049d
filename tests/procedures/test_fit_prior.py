"""Priors fitted by the command line's verb: their files, names, and plots."""

import dataclasses

import cv2
import numpy as np
import pytest

from configs import posture_pose_gt_27
from configs.bases import quick
from datasets.prepare import prepare
from posejax import priors
from posejax.procedures import fit_prior, verb
from posejax.procedures.run import Run
from posejax.tasks import posture_pose_statistics as statistics
from tests.command_line import ROOT, posejax, refused

KINDS = ("bone_ratio", "joint_mobility")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    prepare("people_sample", config="poses_tiny", data_dir=str(directory))
    return directory


@pytest.fixture
def data_dir(prepared, tmp_path):
    """The prepared data, and a folder of priors of the test's own."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/people_sample").symlink_to(prepared / "people_sample")
    return tmp_path / "data"


def small(**changes):
    config = quick.shrink(posture_pose_gt_27.get_config())
    config.update_from_flattened_dict(changes)
    return config


def fit(config, data_dir, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "data": "prepared",
        "workdir": None, "data_dir": str(data_dir), "checkpoint": "last",
        "input": None, "boxes": None, "output": None,
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    run = Run(**(fields | changes))
    return verb("fit_prior", run)(run)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_a_run_that_names_the_files_has_the_priors_that_it_would_fit(
    data_dir, monkeypatch
):
    monkeypatch.setattr(fit_prior, "_draw", lambda *a: [])
    found = fit(small(), data_dir)
    assert found["name"] == "people_sample-S1"
    named = small(**{"prior.name": found["name"]})
    ours, theirs = (
        statistics.make_statistics(config, str(data_dir))().priors
        for config in (named, small())
    )
    for one, other in zip(ours, theirs, strict=True):
        one, other = dataclasses.asdict(one), dataclasses.asdict(other)
        for field, values in other.items():
            # Two compilations of the fit differ in the last bit, which the inverse of
            # a nearly singular covariance enlarges by its condition (1e10 here).
            share = 1e-4 if "inv" in field else 1e-12
            atol = share * np.abs(values).max()
            np.testing.assert_allclose(one[field], values, 0, atol, err_msg=field)


@pytest.mark.slow
def test_files_say_what_they_were_fitted_to_and_have_plots(data_dir, tmp_path):
    config = small(**{"prior.centered": True, "prior.length_std": 0.1})
    found = fit(config, data_dir, output=str(tmp_path / "plots"))
    stem = found["name"]
    assert files(data_dir / "priors") == [f"{stem}_{kind}.npz" for kind in KINDS]
    assert files(tmp_path / "plots") == [f"{stem}_{kind}.png" for kind in KINDS]
    assert sorted(map(str, [*(data_dir / "priors").iterdir(),
                            *(tmp_path / "plots").iterdir()])) == sorted(
        found["written"])  # fmt: skip
    for kind, own in zip(KINDS, ({"length_std": 0.1}, {"centered": True}), strict=True):
        said = priors.load_description(data_dir / "priors" / f"{stem}_{kind}.npz")
        assert said["settings"]["subjects"] == ["S1"]
        assert said["settings"]["data_set"] == "people_sample/poses_tiny"
        assert own.items() <= said["settings"].items()
        assert said["num_poses"] > 0
        picture = cv2.imread(str(tmp_path / "plots" / f"{stem}_{kind}.png"))
        assert 0.05 < (picture < 250).any(axis=-1).mean() < 0.9


def test_one_view_of_each_recording_is_taken_with_its_root_at_the_origin(prepared):
    config = small()
    sequences = statistics.open_branch(config, str(prepared), config.data.labelled)
    poses = statistics.labelled_bodies(sequences)
    assert len(poses) == sequences.lengths[:: sequences.num_views].sum()
    np.testing.assert_array_equal(poses[:, 0], 0)
    first = sequences.poses_3d[sequences.frames(0)]
    np.testing.assert_array_equal(poses[: len(first), 1:], first[:, 1:])


def test_the_same_settings_replace_a_file_and_others_are_refused(data_dir, monkeypatch):
    monkeypatch.setattr(fit_prior, "_draw", lambda *a: [])
    fit(small(), data_dir)
    path = data_dir / "priors" / "people_sample-S1_joint_mobility.npz"
    before = path.stat().st_ino
    fit(small(), data_dir)
    assert path.stat().st_ino != before
    with pytest.raises(ValueError, match="centered False there, True here") as error:
        fit(small(**{"prior.centered": True}), data_dir)
    assert str(path) in str(error.value)
    assert "--config.prior.name=NAME" in str(error.value)
    assert not priors.load_description(path)["settings"]["centered"]
    named = {"prior.centered": True, "prior.name": "S1_centered"}
    fit(small(**named), data_dir)
    assert (data_dir / "priors/S1_centered_joint_mobility.npz").is_file()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"something else"])
def test_a_file_that_is_no_prior_is_never_replaced(content, data_dir):
    path = data_dir / "priors" / "people_sample-S1_bone_ratio.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not say how it was fitted"):
        fit(small(), data_dir)
    assert path.read_bytes() == content
    assert files(path.parent) == [path.name]


def test_too_few_poses_leave_no_file(data_dir):
    few = {"data.labelled.fraction": 0.001}
    with pytest.raises(ValueError, match="span too few directions"):
        fit(small(**few), data_dir)
    assert not (data_dir / "priors").exists()


@pytest.mark.parametrize(
    ("data", "subjects", "fraction", "name"),
    [
        ("human36m_poses", ("S1",), 1.0, "S1"),
        ("human36m_poses", ("S1",), 0.01, "S1.01"),
        ("human36m_poses", ("S1", "S5"), 0.1, "S1-S5.1"),
        ("people_sample", ("S1",), 1.0, "people_sample-S1"),
        ("mocap", ("a/b",), 1.0, "mocap-a_b"),
    ],
)
def test_a_prior_is_named_after_its_subset(data, subjects, fraction, name):
    config = small(**{"data.name": data, "data.labelled.subjects": subjects,
                      "data.labelled.fraction": fraction})  # fmt: skip
    assert fit_prior.subset_name(config) == name


def test_the_ratios_that_are_drawn_have_the_moments_of_the_prior():
    poses = np.random.default_rng(0).normal(size=(30, 17, 3))
    prior = priors.fit_bone_proportion(poses, seed=3, length_std=0.05)
    drawn = fit_prior.ratio_samples(poses, seed=3, length_std=0.05)
    np.testing.assert_allclose(drawn.mean(axis=0), prior.mean, rtol=1e-12)
    np.testing.assert_allclose(drawn.var(axis=0), prior.variance, rtol=1e-12)


@pytest.mark.slow
def test_the_command_line_says_where_priors_are_and_how_to_use_them(data_dir):
    runs = set((ROOT / "runs").glob("*"))
    fitting = [
        "--config", "configs/posture_pose_gt_27.py", "--mode", "fit_prior",
        "--config.data.name=people_sample", "--config.data.config=poses_tiny",
        "--data_dir", data_dir,
    ]  # fmt: skip
    result = posejax(*fitting)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "--config.prior.name=people_sample-S1" in result.stderr
    assert len(files(data_dir / "priors")) == 4
    assert set((ROOT / "runs").glob("*")) == runs
    line = refused(*fitting, "--config.seed=7")
    assert "seed 0 there, 7 here" in line
    line = refused("--config", "configs/mse_natural.py", "--mode", "fit_prior")
    assert "--mode is 'fit_prior'" in line
