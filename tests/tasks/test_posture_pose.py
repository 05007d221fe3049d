"""The task on the tiny sample: windows, warm-up, segments, mirrors, figures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import posture_pose_gt_27, posture_pose_no_cameras_1, videopose3d_gt_27
from configs.bases import quick
from posejax import training
from posejax.data.pose_windows import flip_intrinsics, flip_poses, window_indices
from posejax.tasks import posture_pose_metrics
from posejax.tasks.posture_pose import make_factors, make_task
from posejax.tasks.posture_pose_data import make_data
from posejax.tasks.posture_pose_lifter import lift, make_lifter
from posejax.tasks.posture_pose_windows import Sight, gather_windows, mirrored


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    from datasets.prepare import prepare

    directory = tmp_path_factory.mktemp("data")
    prepare("people_sample", config="poses_tiny", data_dir=str(directory))
    return str(directory)


def small(module=posture_pose_gt_27, **changes):
    config = quick.shrink(module.get_config())
    config.model.dropout = 0.0
    with config.unlocked():
        config.update_from_flattened_dict(changes)
    return config


def first_batch(data, step=0):
    return {**data.resident, **next(data.train(step))}


def as_device(tree):
    return jax.tree.map(jnp.asarray, tree)


def test_windows_are_those_of_the_index_arithmetic_on_the_host(data_dir):
    data = make_data(small(), data_dir)
    kept, batch = data.resident["unlabelled_poses"], next(data.train(0))["unlabelled"]
    sight = Sight(frames=2, field=9, shift=4)
    found = gather_windows(as_device(kept), as_device(batch), sight)
    sequence, flip = batch["sequence"], batch["flip"]
    assert 0 < flip.sum() < len(flip)
    place = (batch["start"], kept["lengths"][sequence], kept["offsets"][sequence])
    seen = window_indices(*place, size=10, before=8)
    asked = window_indices(*place, size=2)
    for row, is_mirrored in enumerate(flip):
        inputs, poses = kept["poses_2d"][seen[row]], kept["poses_3d"][asked[row]]
        lens = kept["intrinsics"][sequence[row]]
        if is_mirrored:
            inputs = flip_poses(inputs, kept["mirror_2d"])
            poses = flip_poses(poses, kept["mirror_3d"])
            lens = flip_intrinsics(lens)
        np.testing.assert_array_equal(found.inputs[row], inputs)
        np.testing.assert_array_equal(found.poses_3d[row], poses)
        np.testing.assert_array_equal(found.intrinsics[row], lens)


@pytest.mark.slow
def test_before_the_warm_up_is_over_unlabelled_windows_change_nothing(data_dir):
    config = small(warmup_epochs=1)
    data = make_data(config, data_dir)
    task = make_task(config, data_dir)
    batch = as_device(first_batch(data))
    params, state = task.init(jax.random.key(0), batch)

    @jax.jit
    def run(batch, step):
        def total(params):
            output = task.loss(params, state, batch, key=jax.random.key(1), step=step)
            return output.loss, output

        return jax.grad(total, has_aux=True)(params)

    other = dict(batch)
    turned = batch["unlabelled"]["sequence"][::-1]
    other["unlabelled"] = {**batch["unlabelled"], "sequence": turned}
    early, early_output = run(batch, 0)
    same, same_output = run(other, 0)
    for ours, theirs in zip(jax.tree.leaves(early), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(early_output.loss, same_output.loss, rtol=1e-6)
    assert float(early_output.logs["reprojection"]) == 0
    steps = data.steps_per_epoch
    late, late_output = run(batch, steps)
    assert float(late_output.logs["reprojection"]) > 0
    moved = [
        float(jnp.abs(ours - theirs).max())
        for ours, theirs in zip(
            jax.tree.leaves(early), jax.tree.leaves(late), strict=True
        )
    ]
    assert max(moved) > 1e-3


def test_padding_windows_count_in_no_term(data_dir):
    config = small()
    data = make_data(config, data_dir)
    task = make_task(config, data_dir)
    batch = as_device(first_batch(data))
    params, state = task.init(jax.random.key(0), batch)
    key, start = jax.random.key(1), jnp.int32(0)
    loss = jax.jit(lambda b: task.loss(params, state, b, key=key, step=start))

    def with_rows(sequence):
        rows = batch["labelled"]
        valid = rows["valid"].at[-3:].set(False)
        sequence = rows["sequence"].at[-3:].set(sequence)
        return {**batch, "labelled": {**rows, "valid": valid, "sequence": sequence}}

    one, other = loss(with_rows(0)), loss(with_rows(5))
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-6)
    for name, term in one.logs.items():
        np.testing.assert_allclose(
            term, other.logs[name], rtol=2e-5, atol=1e-7, err_msg=name
        )
    assert abs(float(one.loss) - float(loss(batch).loss)) > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("segment", "size"), [(12, 1), (5, 3), (16, 8)])
def test_figures_depend_neither_on_segments_nor_on_batches(data_dir, segment, size):
    changes = {"evaluation.segment": segment, "evaluation.batch_size": size}
    config = small(**changes)
    figures = evaluated(config, data_dir)
    expected = evaluated(small(), data_dir)
    assert figures["frames"] == 2 * 4 * 12
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-5), name


def evaluated(config, data_dir):
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    params, state = task.init(jax.random.key(0), first_batch(data))
    batches = data.splits["test"]()
    _, figures = training.evaluate(task, params, state, batches, resident=data.resident)
    return figures


def test_velocity_counts_each_pair_of_neighbouring_frames_once(data_dir):
    config = small(**{"evaluation.segment": 5})
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    params, state = task.init(jax.random.key(0), first_batch(data))
    values, _ = training.evaluate(
        task, params, state, data.splits["test"](), resident=data.resident
    )
    assert values["frame_valid"].sum() == 8 * 12
    both = values["frame_valid"].astype(bool) & values["moved"].astype(bool)
    assert both.sum() == 8 * 11


@pytest.mark.slow
@pytest.mark.parametrize("module", [posture_pose_gt_27, posture_pose_no_cameras_1])
def test_averaged_lifting_of_a_mirror_image_is_the_mirror_image(module, data_dir):
    config = small(module)
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    params, state = task.init(jax.random.key(0), first_batch(data))
    lifter = make_lifter(config)
    kept = as_device(data.resident["test_poses"])
    inputs, order = kept["poses_2d"][None, :12], kept["mirror_2d"]
    run = lambda x: lift(lifter, params, state, x, mirror=order)  # noqa: E731
    plain, other = run(inputs), run(mirrored(inputs, order))
    swapped = mirrored(other.pose, kept["mirror_3d"])
    np.testing.assert_allclose(swapped, plain.pose, atol=1e-5)
    sign = np.array([-1.0, 1.0, 1.0])[: plain.auxiliary.shape[-1]]
    sign = sign if len(sign) == 3 else np.ones(1)
    expected = sign.reshape(1, 1, 1, -1) * plain.auxiliary
    np.testing.assert_allclose(other.auxiliary, expected, atol=1e-5)


def test_the_right_side_can_serve_for_both(data_dir):
    config = small()
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    params, state = task.init(jax.random.key(0), first_batch(data))
    lifter = make_lifter(config)
    kept = as_device(data.resident["test_poses"])
    inputs, order = kept["poses_2d"][None, :12], kept["mirror_2d"]
    none, right, average = (
        lift(lifter, params, state, inputs, mirror=order, flip=flip).pose
        for flip in ("none", "right", "average")
    )
    other = lift(
        lifter, params, state, mirrored(inputs, order), mirror=order, flip="none"
    ).pose
    sides = [1, 2, 3, 14, 15, 16], [4, 5, 6, 11, 12, 13]
    np.testing.assert_array_equal(right[..., sides[0], :], none[..., sides[0], :])
    expected = other[..., sides[0], :] * np.array([[[[-1.0, 1.0, 1.0]]]])
    np.testing.assert_allclose(right[..., sides[1], :], expected, atol=1e-6)
    centre = [0, 7, 8, 9, 10]
    np.testing.assert_array_equal(right[..., centre, :], average[..., centre, :])


def test_a_batch_can_be_learnt_by_heart(data_dir):
    config = small(videopose3d_gt_27, **{"model.channels": 64})
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    task = dataclasses.replace(task, optimizer=optax.adam(3e-3))
    batch = as_device(next(data.train(0)))
    state = training.init_state(jax.random.key(0), task, {**data.resident, **batch})
    step = training.make_train_step(task)
    resident = as_device(data.resident)
    first = None
    for _ in range(150):
        state, logs = step(state, batch, resident)
        first = first or float(logs["pose"])
    assert first > 0.2
    assert float(logs["pose"]) < 0.02


SCHEDULES = {
    "none": ({}, lambda step, epoch: (1, 1)),
    "ramp": (
        {"factor": 0.9, "every": 3, "pose_follows": True},
        lambda step, epoch: (0.9 ** (step // 3), 1 - 0.9 ** (step // 3)),
    ),
    "ramp by epochs": (
        {"kind": "ramp", "factor": 0.5},
        lambda step, epoch: (1, 1 - 0.5 ** (step // epoch)),
    ),
    "swap": (
        {"factor": 1.0, "swap_epochs": 2},
        lambda step, epoch: ((1, 0), (0, 1))[step // (2 * epoch) % 2],
    ),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_multiplies_the_labelled_weights_and_nothing_else(kind, data_dir):
    fields, factors = SCHEDULES[kind]
    fields = {"kind": kind, **fields}
    config = small(
        videopose3d_gt_27,
        **{"weights.posture": 0.5, "weights.pose": 2.0},
        **{f"posture_schedule.{name}": value for name, value in fields.items()},
    )
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    batch, epoch = as_device(first_batch(data)), data.steps_per_epoch
    params, state = task.init(jax.random.key(0), batch)
    key = jax.random.key(1)
    loss = jax.jit(lambda s: task.loss(params, state, batch, key=key, step=s))
    before = None
    for step in (0, 2, 3, epoch - 1, epoch, 2 * epoch - 1, 2 * epoch, 4 * epoch):
        found = loss(jnp.int32(step))
        pose, posture = factors(step, epoch)
        expected = 2 * pose * found.logs["pose"] + 0.5 * posture * (
            found.logs["posture"] + found.logs.get("posture_anchor", 0.0)
        )
        np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
        before = before or found.logs
        assert found.logs == before
        assert ("posture_anchor" in found.logs) == (kind == "swap")


WRONG_SCHEDULES = {
    "an unknown kind": ({"kind": "fade"}, "kind is 'fade'; expected one of"),
    "a swap that fades": ({"kind": "swap"}, "factor is 0.99 .*expected 1"),
    "a swap after no epoch": (
        {"kind": "swap", "factor": 1.0, "swap_epochs": 0}, "swap_epochs is 0"),
    "a ramp that stands still": (
        {"kind": "ramp", "factor": 1.0}, "factor is 1.0; expected 0 < factor < 1"),
    "a ramp of negative steps": ({"kind": "ramp", "every": -1}, "every is -1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_SCHEDULES)
def test_a_schedule_that_cannot_be_had_is_refused_in_one_line(name):
    fields, message = WRONG_SCHEDULES[name]
    changes = {f"posture_schedule.{field}": value for field, value in fields.items()}
    with pytest.raises(ValueError, match=message) as error:
        make_task(small(**{"weights.posture": 1.0}, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("term", ["pose", "posture"])
def test_a_schedule_of_a_term_without_weight_is_refused(term):
    changes = {"weights.posture": 1.0, "posture_schedule.kind": "ramp"}
    with pytest.raises(ValueError, match=rf"config.weights.{term} is 0"):
        make_task(small(**(changes | {f"weights.{term}": 0.0})))


def test_a_run_from_before_there_were_schedules_has_none():
    config = small()
    with config.unlocked():
        del config["posture_schedule"]
    assert make_factors(config)(jnp.int32(5), 2) == {}


def segment_values(errors, actions, valid):
    """Two joints' worth of values: only what `summarize` reads."""
    rows = np.asarray(errors, np.float32)
    by_joint = np.repeat(rows[..., None], 17, axis=-1)
    names = posture_pose_metrics.name_bytes(tuple(actions))
    people = posture_pose_metrics.name_bytes(("S9",) * len(actions))
    joints = ("p1", "p1_unrooted", "p2", "p3", "velocity", "j_mpboe")
    return {
        **{f"{name}_by_joint": by_joint for name in joints},
        "mpboe_by_bone": by_joint[..., :16],
        "trajectory": rows,
        "frame_valid": np.asarray(valid),
        "moved": np.asarray(valid),
        "action": names,
        "subject": people,
    }


def test_frames_weigh_within_an_action_and_actions_weigh_alike():
    values = segment_values(
        [[1.0, 3.0], [5.0, 99.0], [10.0, 20.0]],
        ["Walking", "Walking 1", "Sitting"],
        [[True, True], [True, False], [True, True]],
    )
    figures = posture_pose_metrics.summarize(values)
    assert figures["p1_by_action/Walking"] == pytest.approx((1 + 3 + 5) / 3)
    assert figures["p1_by_action/Sitting"] == pytest.approx(15)
    assert figures["p1"] == pytest.approx((3 + 15) / 2)
    assert figures["p1_by_subject/S9"] == pytest.approx(39 / 5)
    assert figures["frames"] == 5


ERRORS = {
    "labelled and unlabelled share a subject": (
        {"data.unlabelled.subjects": ("S1",)}, "share S1"),
    "labelled and test share a subject": (
        {"data.test.subjects": ("S1",)}, "share S1"),
    "an unknown subject": ({"data.test.subjects": ("S3",)}, "'S3'"),
    "an unknown action": ({"data.actions": ("Flying",)}, "'Flying'"),
    "an unknown detector": ({"data.test.input_2d": "cpn"}, "'cpn'"),
    "more views than cameras": ({"views.group_size": 5}, "group_size is 5"),
    "keypoints of another number": ({"model.in_joints": 16}, "in_joints is 16"),
    "no segment": ({"evaluation.segment": 0}, "segment is 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_data_that_does_not_fit_is_refused_in_one_line(name, data_dir):
    changes, message = ERRORS[name]
    with pytest.raises(ValueError, match=message) as error:
        make_data(small(**changes), data_dir)
    assert "\n" not in str(error.value)


FIELDS = {
    "auxiliary": "depth", "projection": "fisheye", "evaluation.flip": "left",
    "data.unlabelled.target_2d": "true", "compute_dtype": "float16",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_an_unknown_value_is_refused_with_the_legal_ones(field):
    with pytest.raises(ValueError, match=f"config.{field} is '{FIELDS[field]}'"):
        make_task(small(**{field: FIELDS[field]}))


def test_terms_that_need_what_is_not_there_are_refused():
    with pytest.raises(ValueError, match=r"expected 'trajectory'"):
        make_task(small(auxiliary="none"))
    with pytest.raises(ValueError, match="2 or more views"):
        make_task(small(**{"views.group_size": 1}))
