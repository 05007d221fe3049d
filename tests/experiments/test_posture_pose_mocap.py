import json
import math

import pytest

from configs import posture_pose_gt_1, posture_pose_priors_1, videopose3d_semi
from configs.bases import quick
from configs.bases.posture_pose import UNLABELLED_TERMS
from experiments.posture_pose import bodies, mocap, table
from posejax import priors
from tests.fill import golden

SETTING = mocap.Setting(num_steps=100, fraction=0.1)


def _flat(config):
    def walk(value, path):
        if isinstance(value, dict):
            for name, item in value.items():
                yield from walk(item, (*path, name))
        else:
            yield ".".join(path), value

    return dict(walk(config.to_dict(), ()))


def _differing(one, other):
    first, second = _flat(one), _flat(other)
    assert first.keys() == second.keys()
    return {name for name in first if first[name] != second[name]}


def _evaluation(p1, *, step=100):
    figures = {"p1": p1, "p2": p1 - 10.0, "j_mpboe": p1 / 2, "trajectory": math.nan}
    return {
        "step": step,
        "data_set": "mocap/poses; labelled S1",
        "figures": figures,
        "baselines": {"linear map": {"p1": 99.0, "p2": 80.0, "p3": 1.0}},
    }


def _runner(calls, *, p1=50.0, step=100, figures=True):
    """A run that takes no time: it leaves what a trained one would."""

    def run(config, workdir, data_dir):
        del data_dir
        calls.append(workdir.name)
        (workdir / "evaluation").mkdir(parents=True, exist_ok=True)
        plain = mocap.without_sample(config).to_dict()
        (workdir / "config.json").write_text(json.dumps(plain))
        text = json.dumps(_evaluation(p1 + config.seed, step=step))
        (workdir / "evaluation" / "test.json").write_text(text)
        return {"test": {"p1": p1}} if figures else {}

    return run


def _run_all(output, runner, *, rows=("supervised", "all"), seeds=2, setting=SETTING):
    return mocap.run_all(
        output, output, rows=rows, seeds=seeds, setting=setting, runner=runner
    )


@pytest.mark.parametrize("row", mocap.ROWS)
def test_rows_differ_in_the_weights_of_unlabelled_terms_alone(row):
    one = mocap.run_config("supervised", 0, SETTING)
    other = mocap.run_config(row, 0, SETTING)
    allowed = {f"weights.{term}" for term in UNLABELLED_TERMS}
    assert _differing(one, other) <= allowed


def test_seeds_differ_in_the_seed_alone():
    configs = [mocap.run_config("all", seed, SETTING) for seed in (0, 2)]
    assert _differing(*configs) == {"seed"}


@pytest.mark.parametrize(
    ("row", "module"),
    [
        ("all", posture_pose_gt_1),
        ("priors", posture_pose_priors_1),
        ("videopose3d", videopose3d_semi),
    ],
)
def test_a_row_has_the_weights_of_its_published_run(row, module):
    ours = mocap.run_config(row, 0, SETTING)
    assert ours.weights.to_dict() == module.get_config().weights.to_dict()


def test_the_supervised_row_has_no_unlabelled_term_and_views_lacks_the_priors():
    weights = mocap.run_config("supervised", 0, SETTING).weights
    assert not any(weights[term] for term in UNLABELLED_TERMS)
    weights = mocap.run_config("views", 0, SETTING).weights
    counted = {term for term in UNLABELLED_TERMS if weights[term]}
    assert counted == {"reprojection", "root", "view_pose", "view_posture"}


def test_the_default_rows_are_those_of_the_claim():
    labels = [mocap.ROWS[row].label for row in mocap.DEFAULT_ROWS]
    assert labels == [
        "supervised only",
        "+BSE+BPC+JMC",
        "+MvP&P",
        "all",
        "VideoPose3D semi-supervised",
    ]


def test_every_row_of_a_seed_comes_before_the_next_seed(tmp_path):
    calls = []
    assert _run_all(tmp_path, _runner(calls))
    assert calls == [
        "supervised-seed0",
        "all-seed0",
        "supervised-seed1",
        "all-seed1",
    ]


def test_finished_runs_are_not_run_again(tmp_path):
    _run_all(tmp_path, _runner([]), seeds=1)
    calls = []
    _run_all(tmp_path, _runner(calls))
    assert calls == ["supervised-seed1", "all-seed1"]


def test_an_evaluation_of_an_earlier_step_does_not_finish_a_run(tmp_path):
    _run_all(tmp_path, _runner([], step=99), seeds=1)
    calls = []
    _run_all(tmp_path, _runner(calls), seeds=1)
    assert calls == ["supervised-seed0", "all-seed0"]


def test_a_run_that_is_told_to_stop_ends_the_experiment(tmp_path):
    calls = []
    assert not _run_all(tmp_path, _runner(calls, figures=False))
    assert calls == ["supervised-seed0"]


def test_a_finished_run_of_another_setting_is_refused(tmp_path):
    _run_all(tmp_path, _runner([]), seeds=1)
    other = mocap.Setting(num_steps=100, fraction=0.2)
    with pytest.raises(ValueError, match=r"another setting.*fraction: 0\.1"):
        _run_all(tmp_path, _runner([]), seeds=1, setting=other)


def test_mean_spread_and_differences_are_taken_over_the_seeds_of_both_rows():
    found = {
        "supervised": {0: _evaluation(60.0), 1: _evaluation(64.0)},
        "all": {0: _evaluation(50.0), 1: _evaluation(52.0), 2: _evaluation(90.0)},
        "views": {},
    }
    rows = table.aggregate(found, reference="supervised")
    assert rows["supervised"]["figures"]["p1"]["mean"] == 62.0
    assert rows["supervised"]["figures"]["p1"]["std"] == pytest.approx(math.sqrt(8))
    assert rows["supervised"]["minus_reference"] == {}
    assert rows["all"]["figures"]["p2"]["mean"] == pytest.approx(54.0)
    minus = rows["all"]["minus_reference"]["p1"]
    assert minus["by_seed"] == {"0": -10.0, "1": -12.0}
    assert minus["std"] == pytest.approx(math.sqrt(2))
    assert rows["views"] == {"seeds": [], "figures": {}, "minus_reference": {}}
    # A figure that is not finite has no mean.
    assert "trajectory" not in rows["all"]["figures"]


def test_the_table_says_what_was_not_run_and_gives_no_spread_of_one_seed(tmp_path):
    _run_all(tmp_path, _runner([]), rows=("supervised",), seeds=1)
    text = mocap.write_tables(
        tmp_path, rows=("supervised", "all"), seeds=1, setting=SETTING
    )
    lines = [[c.strip() for c in row.strip("|").split("|")] for row in text.split("\n")]
    rows = {line[0]: line[1:] for line in lines}
    assert rows["row"][:3] == ["P1 [mm]", "P2 [mm]", "J-MPBOE [mm]"]
    assert rows["supervised only"] == ["50.0", "40.0", "25.0", "-", "-", "1"]
    assert rows["all"][:3] == ["not run"] * 3
    assert rows["linear map"][:3] == ["99.0", "80.0", "-"]
    result = json.loads((tmp_path / "mocap.json").read_text())
    assert result["rows"]["supervised"]["figures"]["p1"]["std"] is None
    assert (tmp_path / "mocap.md").read_text() == text + "\n"


def test_the_table_shows_the_spread_over_seeds(tmp_path):
    _run_all(tmp_path, _runner([], p1=50.0), rows=("supervised",))
    text = (tmp_path / "mocap.md").read_text()
    assert "50.5 ± 0.7" in text


def test_a_damaged_evaluation_is_named(tmp_path):
    path = tmp_path / "evaluation" / "test.json"
    path.parent.mkdir()
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"test\.json is no evaluation"):
        table.read_finished(tmp_path, num_steps=1)


def _prepared(monkeypatch, tmp_path, names):
    folders = {"train": [{"name": name, "count": 1} for name in names]}
    (tmp_path / "metadata.json").write_text(json.dumps({"folders": folders}))
    monkeypatch.setattr(mocap, "prepared_directory", lambda *_, **__: tmp_path)


def test_data_of_another_cast_is_refused(monkeypatch, tmp_path):
    names = ["S1/walk BN2_normal walk_001", "S9/bow BN1_childish bow_002_a"]
    _prepared(monkeypatch, tmp_path, names)
    mocap.check_data(tmp_path)
    _prepared(monkeypatch, tmp_path, ["S5/walk BN2_normal walk_001"])
    with pytest.raises(ValueError, match=r"BN2_normal played by S5.*says S1"):
        mocap.check_data(tmp_path)


def test_data_that_is_not_prepared_is_told_with_the_commands(tmp_path):
    arguments = ["--data_dir", str(tmp_path / "no"), "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"is not prepared.*--print_cast.*prepare"):
        mocap.main(arguments)


def test_the_cast_gives_every_subject_something_to_play(capsys):
    mocap.main(["--print_cast"])
    cast = json.loads(capsys.readouterr().out)
    assert set(cast.values()) == {"S1", "S5", "S6", "S7", "S8", "S9", "S11"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--rows", "al"], "--rows is 'al'.*'all'"),
        (["--fraction", "0"], "--fraction is 0.0"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--num_steps", "0"], "--num_steps is 0"),
    ],
)
def test_a_wrong_option_is_one_line(arguments, expected, tmp_path):
    common = ["--data_dir", str(tmp_path), "--output", str(tmp_path)]
    with pytest.raises(SystemExit, match=expected):
        mocap.main([*common, *arguments])


@pytest.mark.slow
def test_a_row_is_an_ordinary_run_that_is_finished_when_it_ends(tmp_path):
    from datasets.prepare import prepare

    prepare("people_sample", config="poses_tiny", data_dir=str(tmp_path / "data"))
    config = quick.shrink(mocap.run_config("all", 0, SETTING))
    workdir = mocap.work_directory(tmp_path, "all", 0)
    figures = mocap.train_and_evaluate(config, workdir, tmp_path / "data")
    run = table.read_finished(workdir, num_steps=2)
    assert run is not None
    assert run["figures"]["p1"] == pytest.approx(figures["test"]["p1"])
    assert table.read_finished(workdir, num_steps=3) is None


def test_bodies_like_those_of_a_prior_lie_near_it_and_others_far_from_it():
    arrays, _ = golden("prior_generation", system="posture_pose")
    poses = arrays["in/pose"]
    fitted = (
        priors.fit_bone_proportion(poses, seed=0, length_std=0.05),
        priors.fit_joint_mobility(poses),
    )
    own = bodies.deviations(poses[:50], *fitted)
    shins = poses[:50].copy()
    for knee, ankle in ((2, 3), (5, 6)):
        shins[:, ankle] += shins[:, ankle] - shins[:, knee]  # twice as long
    other = bodies.deviations(shins, *fitted)
    assert own["mean |z| of ratios"] < 1
    assert own["beyond 2 std [%]"] == 0
    assert other["farthest ratio"] in ("RLeg / RThigh", "LLeg / LThigh")
    assert other["its mean z"] > 5
    assert other["BPC"] > own["BPC"]  # the loss, so that less is more likely
    assert other["JMC"] == pytest.approx(own["JMC"], rel=1e-4)  # directions alone
