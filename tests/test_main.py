"""The command line: what a person types, and what comes back."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.command_line import ROOT, fresh, posejax, refused

SMALL = [
    "--config.sample.data.config=tiny",
    "--config.sample.batch_size=4",
    "--config.sample.num_steps=2",
    "--config.sample.evaluation.every=2",
    "--config.sample.log.checkpoint_every=2",
    "--config.sample.log.pictures_every=2",
    "--config.sample.regressor_features=(4,4,4,4,4,8)",
    "--config.sample.translator_features=(4,4)",
    "--config.sample.vgg.widths=(4,4,8)",
]
CONFIG = ["--config", "configs/mse_natural.py"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A work directory that two steps on the tiny sample have filled."""
    directory = tmp_path_factory.mktemp("run")
    result = fresh(
        *CONFIG, *SMALL, "--data", "sample", "--data_dir", directory / "data",
        "--workdir", directory / "work",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return directory, result


def test_help_answers_in_under_a_second_and_names_the_modes():
    start = time.monotonic()
    result = fresh("--help")
    taken = time.monotonic() - start
    assert "train | evaluate | predict | import_weights" in result.stdout
    assert taken < 3.0, "with a margin for a busy machine; alone it takes 0.1 s"
    code = "import sys, posejax.main as m; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*CONFIG, "--config.templat=natural"], "'templat'; did you mean 'template'"),
        ([*CONFIG, "--config.data.nam=x"], "'nam'; did you mean 'name'"),
        ([*CONFIG, "--config.optimizer.lr=1"], "optimizer has no field 'lr'; it has"),
        ([*CONFIG, "--config.optimizer.lr=1"], "'eps', 'learning_rate'."),
        ([*CONFIG, "--config.seed.x=1"], "config.seed is 0, no section"),
        ([*CONFIG, "--config.system=template"], "expected one of 'template_warp'"),
        ([*CONFIG, "--config.data.name=human3m"], "expected one of 'human36m'"),
        ([*CONFIG, "--config.data.config=crop_all"], "expected one of 'crops_all'"),
        ([*CONFIG, "--config.batch_size=many"], "invalid literal"),
        (["--config", "configs/mse_naturel.py"], "configs/mse_naturel.py"),
        (["--config", "configs/mse_natural.py:holiday"], "'own_videos'"),
        ([*CONFIG, "--mode", "trian"], "expected one of 'train'"),
        ([*CONFIG, "--data", "sampel"], "expected one of 'sample'"),
        ([*CONFIG, "--workdri", "x"], "Did you mean: workdir"),
        ([], "neither --config nor --workdir"),
        (["--workdir", "no/such/run"], "holds no config.json"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line_that_names_the_remedy(arguments, says):
    assert says in refused(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("template=naturel", "expected one of 'natural'"),
        ("scheme=two_stop", "expected one of 'two_step'"),
        ("warp=sample", "expected one of 'sampling'"),
        ("channel_order=gbr", "config.channel_order"),
        ("compute_dtype=float16", "'float32'"),
        ("sample.vgg.weights=imagenet", "config.vgg.weights"),
        ("sample.image_size=70", "multiple of 64"),
        ("sample.batch_size=1", "expected at least 2"),
        ("data.pairing=some", "half_and_flips"),
        ("optimizer.learning_rate=-1.0", "learning_rate"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_legal_ones(trained, override, says):
    # One directory for all: a run that was refused leaves it to the corrected one.
    directory, _ = trained
    line = refused(
        *CONFIG, *SMALL, f"--config.{override}", "--data", "sample", "--data_dir",
        directory / "data", "--workdir", directory / "wrong",
    )  # fmt: skip
    assert says in line


@pytest.mark.slow
def test_training_without_data_warns_twice_and_names_the_sample(tmp_path):
    result = posejax(
        *CONFIG, *SMALL, "--data_dir", tmp_path / "data", "--workdir", tmp_path / "work"
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stderr.count("running on the embedded sample") == 2
    started = json.loads((tmp_path / "work/run.json").read_text())
    assert started["data"] == "sample"
    found = json.loads((tmp_path / "work/evaluation/test.json").read_text())
    assert found["data"] == "sample"
    assert "sample" in found["note"]


@pytest.mark.slow
def test_a_run_leaves_what_the_readme_says(trained):
    directory, result = trained
    work = directory / "work"
    for name in ("config.json", "run.json", "metrics.jsonl", "timings.jsonl"):
        assert (work / name).is_file(), name
    assert (work / "checkpoints/2").is_dir()
    assert list((work / "pictures").glob("reconstruction_*.png"))
    assert "resting template" in result.stdout
    assert "mean training pose" in result.stdout


@pytest.mark.slow
def test_evaluate_works_from_the_work_directory_alone(trained):
    directory, _ = trained
    before = json.loads((directory / "work/evaluation/test.json").read_text())
    result = posejax("--mode", "evaluate", "--workdir", directory / "work")
    assert result.returncode == 0, result.stderr[-3000:]
    after = json.loads((directory / "work/evaluation/test.json").read_text())
    assert after["figures"] == before["figures"]
    best = posejax(
        "--mode", "evaluate", "--workdir", directory / "work", "--checkpoint", "best"
    )
    assert best.returncode == 0, best.stderr[-3000:]


@pytest.mark.slow
def test_a_work_directory_of_another_config_is_refused_with_the_difference(trained):
    directory, _ = trained
    line = refused(
        "--config", "configs/baseline.py", *SMALL, "--data", "sample", "--data_dir",
        directory / "data", "--workdir", directory / "work",
    )  # fmt: skip
    assert '-template: "natural"' in line
    assert '+template: "t_pose"' in line


@pytest.mark.slow
def test_predict_writes_joints_in_both_frames_and_overlays(trained, tmp_path):
    import cv2

    directory, _ = trained
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        picture = rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), picture)
    result = posejax(
        "--mode", "predict", "--workdir", directory / "work", "--input", folder,
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(tmp_path / "out/joints.npz") as found:
        about = json.loads(str(found["about"]))
        assert about["skeleton"] == "template_15"
        assert about["unit"] == "px"
        assert found["joints_source"].shape == (2, 15, 2)
        linear, shift = found["crop_matrix"][0][:, :2], found["crop_matrix"][0][:, 2]
        crop = found["joints_source"][0] @ linear.T + shift
        np.testing.assert_allclose(crop, found["joints_crop"][0], atol=1e-6)
    overlay = cv2.imread(str(tmp_path / "out/0_overlay.png"))
    assert overlay.shape == (90, 120, 3)
    listed = json.loads((tmp_path / "out/joints.json").read_text())
    assert [frame["frame"] for frame in listed["frames"]] == [0, 1]
    assert listed["joint_names"][1] == "hipR"


@pytest.mark.slow
def test_predict_refuses_what_shows_nobody(trained, tmp_path):
    import cv2

    directory, _ = trained
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    (tmp_path / "empty.mp4").write_bytes(b"")
    work = ["--mode", "predict", "--workdir", directory / "work"]
    assert "1x1 pixels" in refused(*work, "--input", tmp_path / "dot.png")
    assert "empty" in refused(*work, "--input", tmp_path / "empty.mp4")
    assert "does not exist" in refused(*work, "--input", tmp_path / "none.mp4")
    assert "--input is not given" in refused(*work)


@pytest.mark.slow
def test_predict_refuses_a_video_in_which_nobody_moves(trained, tmp_path):
    from tests.data.moving_figure import wall, write_video

    directory, _ = trained
    write_video(tmp_path / "wall.mp4", [wall()] * 12)
    line = refused(
        "--mode", "predict", "--workdir", directory / "work", "--input",
        tmp_path / "wall.mp4",
    )  # fmt: skip
    assert "no person found" in line


@pytest.mark.slow
def test_predict_finds_the_person_who_walks_through_a_video(trained, tmp_path):
    from tests.data.moving_figure import walk, write_video

    directory, _ = trained
    frames, boxes = walk()
    write_video(tmp_path / "walk.mp4", frames)
    result = posejax(
        "--mode", "predict", "--workdir", directory / "work", "--input",
        tmp_path / "walk.mp4", "--output", tmp_path / "out",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert (tmp_path / "out/overlay.mp4").stat().st_size > 0
    with np.load(tmp_path / "out/joints.npz") as found:
        true = np.asarray(boxes)[found["frame"]].reshape(-1, 4)
        middle = found["box"].reshape(-1, 4)
        assert np.abs(true - middle).max(axis=1).mean() < 15


def test_prepared_data_that_is_missing_is_refused_with_the_command(tmp_path):
    line = refused(*CONFIG, "--data", "prepared", "--data_dir", tmp_path)
    assert "python -m datasets.prepare human36m" in line


@pytest.mark.slow
def test_the_published_configs_say_how_to_get_the_vgg_file(trained):
    directory, _ = trained
    line = refused(
        *CONFIG, *SMALL, "--config.sample.vgg.weights=torchvision", "--data", "sample",
        "--data_dir", directory / "data", "--workdir", directory / "vgg",
    )  # fmt: skip
    assert "vgg19" in line
    assert "--mode import_weights" in line
