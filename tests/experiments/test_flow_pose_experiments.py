"""flow_pose on real frames: made-up pairs and a made-up recording in their layouts."""

import dataclasses
import json

import cv2
import jax
import numpy as np
import pytest

from configs import flow_pose_sample
from experiments.flow_pose import multiview, real_pairs
from posejax import importers, models, render
from posejax.data.flow_files import write_flo, write_kitti_flow
from posejax.procedures import alternate
from posejax.procedures.alternate import ClipResult
from posejax.skeletons import LSP_14

FRAMES, SIZE = 7, (96, 160)  # width, height of the made-up video
INTRINSICS = np.array([[200.0, 0, 47], [0, 200.0, 80], [0, 0, 1]])
LENS = np.array([-0.8, 0.2, 0.002, -0.001])
ABOUT = {"weights": {"name": "made_up"}}


def _write_picture(path, image):
    render.write_png(path, image.astype(np.uint8))


def _textured(rng, height, width):
    """A picture in which motion can be seen."""
    noise = rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    return np.clip(4 * (cv2.GaussianBlur(noise, (0, 0), 2) - 128) + 128, 0, 255)


def _chairs(folder, *, count=2, height=64, width=80, shift=2):
    folder.mkdir()
    for number in range(count):
        image = _textured(np.random.default_rng(number), height, width)
        start = folder / f"{number:07d}"
        _write_picture(f"{start}_img1.png", image)
        _write_picture(f"{start}_img2.png", np.roll(image, shift, axis=1))
        flow = np.zeros((height, width, 2), np.float32)
        flow[..., 0] = shift
        write_flo(f"{start}_flow.flo", flow)
    return folder


def _kitti(folder, *, height=45, width=77):
    folder.mkdir()
    image = _textured(np.random.default_rng(5), height, width)
    for name in ("frame1.png", "frame2.png"):
        _write_picture(folder / name, image)
    valid = np.zeros((height, width), bool)
    valid[::3] = True
    flow = np.full((height, width, 2), 7.0, np.float32)
    write_kitti_flow(folder / "flow_gt.png", flow, valid=valid)
    return folder


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "drawn.npz"
    shapes = jax.eval_shape(models.raft_network("small").init, jax.random.key(0))
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: 0.05 * rng.standard_normal(leaf.shape), shapes)
    importers.save_weights(path, drawn, description={"step": 3})
    return path


def test_the_figures_of_a_set_are_those_of_its_known_motion(tmp_path):
    pairs = real_pairs.chairs_pairs(_chairs(tmp_path / "chairs"))
    found = real_pairs.evaluate_set(pairs, (real_pairs.simple_flows,))
    assert found["pairs"] == 2
    assert list(found["per_pair"]) == ["0000000", "0000001"]
    zero = found["figures"]["zero flow"]
    assert zero["epe"] == pytest.approx(2.0)
    assert (zero["within_1px"], zero["within_3px"], zero["f1_all"]) == (0, 100, 0)
    for method in ("Farneback", "DIS medium"):
        assert found["figures"][method]["epe"] < 1.0, method


def test_only_pixels_of_known_flow_count(tmp_path):
    pairs = real_pairs.kitti_pairs(_kitti(tmp_path / "kitti"))
    zero = real_pairs.evaluate_set(pairs, (real_pairs.simple_flows,))["figures"]
    pair = pairs.read(0)
    assert pairs.padding == "kitti"
    assert pair.valid.mean() == pytest.approx(1 / 3)
    assert np.all(pair.flow[~pair.valid] == 0)
    assert zero["zero flow"]["epe"] == pytest.approx(7 * 2**0.5, rel=1e-5)
    assert zero["zero flow"]["f1_all"] == 100


def test_a_pair_of_two_sizes_is_refused(tmp_path):
    folder = _chairs(tmp_path / "chairs", count=1)
    write_flo(folder / "0000000_flow.flo", np.zeros((64, 72, 2), np.float32))
    with pytest.raises(ValueError, match="expected one size"):
        real_pairs.chairs_pairs(folder).read(0)


def test_folders_without_pairs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="img1"):
        real_pairs.chairs_pairs(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"frame1\.png is missing"):
        real_pairs.kitti_pairs(tmp_path)


def test_a_finished_set_is_kept_and_other_weights_are_refused(
    tmp_path, random_weights, monkeypatch
):
    weights = real_pairs.read_raft(str(random_weights))
    assert weights.about["variant"] == "small"
    assert weights.about["step"] == 3
    named = lambda pair, padding: {"RAFT": np.zeros_like(pair.flow)}  # noqa: E731
    monkeypatch.setattr(real_pairs, "raft_method", lambda weights, updates: named)
    folder = _chairs(tmp_path / "chairs")
    output, lines = tmp_path / "figures.json", []
    pairs = real_pairs.chairs_pairs(folder)
    first = real_pairs.run_sets(output, [pairs], weights)
    unreadable = pairs._replace(read=lambda index: pytest.fail("read again"))
    again = real_pairs.run_sets(output, [unreadable], weights, watch=lines.append)
    assert again == first
    assert lines == ["flow_chairs: finished before"]
    text = output.read_text() + output.with_suffix(".md").read_text()
    assert str(tmp_path) not in text
    assert "| RAFT " in text
    other = weights._replace(about={**weights.about, "sha256": "0"})
    with pytest.raises(ValueError, match="other weights"):
        real_pairs.run_sets(output, [pairs], other)
    output.write_text("{}")
    with pytest.raises(ValueError, match="no result of this experiment"):
        real_pairs.run_sets(output, [pairs], weights)


@pytest.mark.slow
def test_the_flows_of_one_run_are_those_after_so_many_updates(tmp_path, random_weights):
    weights = real_pairs.read_raft(str(random_weights))
    pair = real_pairs.kitti_pairs(_kitti(tmp_path / "kitti", height=20, width=29))
    pair = pair.read(0)
    both = real_pairs.raft_method(weights, updates=(1, 2))(pair, "kitti")
    one = real_pairs.raft_method(weights, updates=(1,))(pair, "kitti")
    names = ["RAFT drawn, 1 updates", "RAFT drawn, 2 updates"]
    assert list(both) == names
    assert both[names[1]].shape == pair.flow.shape
    np.testing.assert_allclose(both[names[0]], one[names[0]], atol=1e-4)
    assert np.abs(both[names[1]] - both[names[0]]).max() > 1e-3


def _bodies():
    """A body 0.8 m high that moves to the right by 1 cm per frame."""
    pose = np.random.default_rng(0).uniform(-0.15, 0.15, (14, 3))
    pose[:, 1] = np.linspace(0.4, -0.4, 14)
    moved = pose + np.arange(FRAMES)[:, None, None] * np.array([0.01, 0, 0])
    return moved + np.array([0.0, 0, 2.0])


def _recording(folder):
    """One camera with a strong lens, whose axes are not the world's."""
    folder.mkdir()
    seen = _bodies()
    rotation = cv2.Rodrigues(np.array([0.2, -0.4, 0.1]))[0]
    shift = np.array([0.1, -0.2, 0.3])
    pixels = [
        cv2.projectPoints(body, np.zeros(3), np.zeros(3), INTRINSICS, LENS)[0][:, 0]
        for body in seen
    ]
    detected = np.zeros((FRAMES, 2, 15, 3), np.float32)
    detected[:, 0, 1:, :2], detected[:, 0, 1:, 2] = pixels, 0.9
    detected[2, 0, 1, 2] = 0.2  # a right ankle, hardly seen
    triangulated = np.zeros((1, FRAMES, 15, 3), np.float32)
    triangulated[0, :, 1:] = (seen - shift) @ rotation
    np.savez(
        folder / "recording.npz",
        cam1_K=INTRINSICS,
        cam1_dist=LENS,
        cam1_R=rotation,
        cam1_t=shift,
        cam1_size=np.array(SIZE),
        cam1_det2d=detected,
        pose3d=triangulated,
        pose3d_names=np.array(["RHeel", *multiview._TRIANGULATED]),
        body25b_names=np.array(["nose", *multiview._DETECTED]),
    )
    rng = np.random.default_rng(1)
    image = _textured(rng, SIZE[1], SIZE[0]).astype(np.uint8)
    frames = (np.roll(image, number, axis=1) for number in range(FRAMES))
    render.write_video(folder / "cam01.mp4", frames, 30)
    return folder


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return _recording(tmp_path_factory.mktemp("recordings") / "made_up")


def _view(folder, **setting):
    arrays = multiview.read_recording(folder)
    setting = multiview.Setting(**{"frames": 4, "every": 2, "scale": 1.0} | setting)
    config = flow_pose_sample.get_config()
    return multiview.make_view(folder, arrays, 1, setting, config)


def _unchanged(clip):
    """What an optimisation that changes nothing would return."""
    shape = (clip.num_frames - 1, *clip.size, 2)
    flow = np.broadcast_to(np.array([2.0, 0.0], np.float32), shape)
    config = flow_pose_sample.get_config()
    kind = multiview.pose_kind(config)
    estimates = kind.estimates(clip, kind.start(clip))
    return ClipResult(
        flows=(flow, flow, flow),
        target=flow[0],
        original=estimates,
        optimised=estimates,
        flow_losses=(),
        energies=np.zeros(3),
        terms={},
        weights=alternate.Weights({}, {}),
    )


def test_the_names_of_the_recording_are_in_the_order_of_lsp():
    for layout in (multiview._TRIANGULATED, multiview._DETECTED):
        assert len(layout) == LSP_14.num_joints
        for name, joint in zip(layout, LSP_14.joints, strict=True):
            side, _, part = joint.rpartition("_")
            assert name.lower().endswith(part) or joint == "head_top"
            if side in ("left", "right"):
                assert name[0].lower() == side[0]


def test_detections_meet_projections_once_the_lens_is_undone(recording):
    view = _view(recording)
    clip, truth = view.clip, view.clip.truth
    assert clip.name == "made_up/cam1"
    assert clip.fps == 15
    is_detected = clip.confidence > 0
    np.testing.assert_array_equal(np.argwhere(~is_detected), [[1, 0]])
    assert np.all(clip.confidence[is_detected] == 1)
    distances = np.linalg.norm(clip.detections - truth.joints, axis=-1)[is_detected]
    assert distances.max() < 0.02
    seen = np.concatenate(_bodies()[::2])
    bent = cv2.projectPoints(seen, np.zeros(3), np.zeros(3), INTRINSICS, LENS)[0]
    straight = (seen[:, :2] / seen[:, 2:]) * 200 + INTRINSICS[:2, 2]
    assert np.linalg.norm(bent[:, 0] - straight, axis=-1).max() > 1


def test_frames_are_undistorted_as_points_are(tmp_path):
    point = np.array([30.0, 40.0])
    bent = cv2.projectPoints(
        np.array([[*(point - INTRINSICS[:2, 2]) / 200, 1.0]]),
        *(np.zeros(3), np.zeros(3), INTRINSICS, LENS),
    )[0][0, 0]
    rows, columns = np.indices(SIZE[::-1])
    spot = np.exp(-((columns - bent[0]) ** 2 + (rows - bent[1]) ** 2) / 8)
    image = np.repeat((250 * spot).astype(np.uint8)[..., None], 3, axis=-1)
    render.write_video(tmp_path / "cam01.mp4", [image] * 3, 30)
    frames = multiview.undistorted_frames(
        tmp_path / "cam01.mp4", np.arange(0, 3, 2), INTRINSICS, LENS
    )
    assert frames.shape == (2, *SIZE[::-1], 3)
    weight = np.where(frames[1, ..., 0] > 40, frames[1, ..., 0].astype(float), 0)
    center = [(weight * axis).sum() / weight.sum() for axis in (columns, rows)]
    assert np.linalg.norm(bent - point) > 0.5
    np.testing.assert_allclose(center, point, atol=0.2)


def test_the_reference_pose_is_in_camera_axes_around_the_hips(recording):
    truth = _view(recording).clip.truth
    seen = _bodies()[::2]
    expected = seen - seen[:, 2:4].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(truth.pose, expected, atol=1e-5)


def test_frames_and_joints_shrink_together(recording):
    whole, half = _view(recording), _view(recording, scale=0.5)
    assert half.metres_per_px == pytest.approx(2 * whole.metres_per_px)
    steps = [np.diff(view.clip.truth.joints, axis=0) for view in (whole, half)]
    np.testing.assert_allclose(steps[0], 2 * steps[1], atol=1e-3)
    # 1 cm per frame of the video, every second frame, 2 m away.
    mean = steps[0].mean(axis=(0, 1))
    np.testing.assert_allclose(mean, [0.02 / 2 * 200, 0], atol=0.1)


def test_starting_poses_are_wrong_by_the_seed(recording):
    one, same, other = (_view(recording, seed=s).clip for s in (0, 0, 1))
    np.testing.assert_array_equal(one.pose, same.pose)
    assert np.abs(one.pose - other.pose).max() > 0.005
    assert np.abs(one.pose - one.truth.pose).max() > 0.01


def test_figures_are_against_both_references(recording):
    view = _view(recording)
    config = flow_pose_sample.get_config()
    found = multiview.camera_figures(view, _unchanged(view.clip), config)
    for reference in ("triangulated", "detected"):
        zero, count = found[reference]["joint_epe/zero"]
        assert zero / count == pytest.approx(2, abs=0.3)
        moved, _ = found[reference]["joint_epe/original"]
        assert moved < 0.3 * zero
    # A joint that is not detected in one frame is judged in no pair with it.
    missing = found["triangulated"]["joint_epe/zero"][1] - count
    assert missing == 2
    assert "mpjpe_mm/original" in found["triangulated"]
    assert "mpjpe_mm/original" not in found["detected"]


def test_the_references_are_as_far_from_each_other_as_they_were_moved(recording):
    view = _view(recording)
    moved = view.clip.detections + np.array([3.0, 4.0], np.float32)
    moved[1::2, :, 0] += 1
    clip = dataclasses.replace(view.clip, detections=moved)
    found = multiview.disagreement(view._replace(clip=clip))
    means = {name: total / count for name, (total, count) in found.items()}
    assert means["offset_y_px"] == pytest.approx(4, abs=0.02)
    assert 3.4 < means["offset_x_px"] < 3.6
    assert means["displacement_px"] == pytest.approx(1, abs=0.02)
    assert means["position_mm"] == pytest.approx(
        1000 * view.metres_per_px * means["position_px"]
    )
    assert means["bone_length_mm"] < 0.01


def test_a_finished_camera_is_kept_and_another_setting_is_refused(recording, tmp_path):
    config = flow_pose_sample.get_config()
    config.output.pictures = False
    views = {1: lambda: _view(recording)}
    output = tmp_path / "runs"
    text = multiview.run_cameras(output, views, _unchanged, config, ABOUT)
    assert "joint_epe/zero" in text
    stored = json.loads((output / "multiview.json").read_text())
    assert set(stored["means"]["triangulated"]) == {"camera 1", "all"}
    assert str(tmp_path) not in (output / "multiview.json").read_text()
    kept = {1: lambda: pytest.fail("read again")}
    assert multiview.run_cameras(output, kept, _unchanged, config, ABOUT) == text
    with pytest.raises(ValueError, match="another setting"):
        multiview.run_cameras(output, kept, _unchanged, config, {"seed": 1})


def test_bad_recordings_and_settings_are_refused(recording, tmp_path):
    with pytest.raises(FileNotFoundError, match="0 npz files"):
        multiview.read_recording(tmp_path)
    np.savez(tmp_path / "bare.npz", pose3d=np.zeros(3))
    with pytest.raises(ValueError, match="lacks pose3d_names"):
        multiview.read_recording(tmp_path)
    with pytest.raises(ValueError, match="needs 9 frames; the recording has 7"):
        _view(recording, frames=5)
    assert multiview.cameras_of(multiview.read_recording(recording)) == (1,)


@pytest.mark.slow
def test_the_whole_experiment_runs_on_a_small_recording(
    recording, tmp_path, random_weights, monkeypatch, capsys
):
    def small():
        config = original()
        config.flow.updates, config.flow.epochs, config.pose.num_steps = 2, 1, 5
        return config

    original = flow_pose_sample.get_config
    monkeypatch.setattr(flow_pose_sample, "get_config", small)
    output = tmp_path / "runs"
    arguments = ["--recording", recording, "--weights", random_weights]
    arguments += ["--output", output, "--frames", 3, "--every", 1, "--scale", 0.5]
    multiview.main([str(argument) for argument in arguments])
    assert "Between the two references" in capsys.readouterr().out
    found = {path.name for path in (output / "cam1").iterdir()}
    assert found == {"clip.mp4", "sheet.png", "estimates.npz", "figures.json"}
    text = (output / "multiview.json").read_text()
    assert str(tmp_path) not in text
    assert "joint_epe/second" in text
