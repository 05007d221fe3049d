import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import geometry, losses
from posejax.geometry.bones import VIDEOPOSE_PARENTS
from posejax.losses.multiview import PAIRINGS, POSTURES
from posejax.numerics import masked_mean

pytestmark = pytest.mark.slow

VIEWS, FRAMES = 3, 2
LENGTHS = jnp.linspace(0.1, 0.5, 16)


def quaternions(rng, *batch):
    raw = rng.normal(size=(*batch, 4))
    return jnp.asarray(raw / np.linalg.norm(raw, axis=-1, keepdims=True))


def cameras(seed, *batch):
    rng = np.random.default_rng(seed)
    centres = jnp.asarray(rng.normal(size=(*batch, VIEWS, 3)))
    return {"orientation": quaternions(rng, *batch, VIEWS), "translation": centres}


def poses(seed, *batch):
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(*batch, VIEWS, FRAMES, 17, 3))
    pose[..., 0, :] = 0
    root = rng.normal(size=(*batch, VIEWS, FRAMES, 3))
    return jnp.asarray(pose), jnp.asarray(root)


def every_loss(pose, root, orientation, translation):
    camera = {"orientation": orientation, "translation": translation}
    found = {
        f"{pairing} {use}": losses.pose_consistency_loss(
            pose, root, pairing=pairing, use_trajectory=use, **camera
        )
        for pairing in PAIRINGS
        for use in (True, False)
    }
    found |= {
        f"{kind} {order}": losses.posture_consistency_loss(
            pose, LENGTHS.astype(pose.dtype), kind=kind, norm_order=order
        )
        for kind in POSTURES
        for order in (1, 2)
    }
    return found | {"rigid": losses.rigid_consistency_loss(pose)}


every = jax.jit(every_loss)


def same_person_seen_by(camera, seed):
    """One pose and trajectory in the world, in the axes of each camera."""
    world, root = poses(seed)
    world, root = (jnp.broadcast_to(x[:1], x.shape) for x in (world, root))
    points = (world + root[..., None, :]).reshape(VIEWS, -1, 3)
    seen = geometry.world_to_camera(points, **camera).reshape(world.shape)
    return seen - seen[..., :1, :], seen[..., 0, :]


@pytest.mark.usefixtures("float64")
def test_views_of_one_person_are_consistent():
    camera = cameras(0)
    found = every(*same_person_seen_by(camera, 1), **camera)
    for name, loss in found.items():
        np.testing.assert_allclose(loss, 0, atol=1e-12, err_msg=name)


@pytest.mark.usefixtures("float64")
def test_a_wrong_camera_or_trajectory_counts_only_where_it_is_used():
    camera = cameras(2)
    pose, root = same_person_seen_by(camera, 3)
    offset = jnp.array([[[0.0, 3.0, 4.0]], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]]])
    found = every(pose, root + offset, **camera)
    np.testing.assert_allclose(found["anchor True"], 5.0)
    np.testing.assert_allclose(found["adjacent True"], 2.5)  # two pairs, one is wrong
    np.testing.assert_allclose(found["anchor False"], 0, atol=1e-12)
    turned = dict(camera, orientation=jnp.roll(camera["orientation"], 1, axis=0))
    found = every(pose, root, **turned)
    for name, loss in found.items():
        if "anchor" in name or "adjacent" in name:
            assert loss > 0.01
        else:
            np.testing.assert_allclose(loss, 0, atol=1e-12, err_msg=name)


@pytest.mark.usefixtures("float64")
def test_posture_differences_are_weighted_by_the_mean_length_of_their_bone():
    # Only the right forearm differs: it points the other way in view 1 of 2.
    pose, _ = poses(4)
    one = pose[:1, :1]
    pivot, free = one[..., 15, :], one[..., 16, :]
    other = one.at[..., 16, :].set(2 * pivot - free)
    pair = jnp.concatenate([one, other])
    lengths = jnp.zeros(16).at[15].set(0.25)
    loss = losses.posture_consistency_loss(pair, lengths, norm_order=2)
    np.testing.assert_allclose(loss, 0.25 * 2 / 16, rtol=1e-9)
    length = np.linalg.norm(free - pivot)
    loss = losses.posture_consistency_loss(pair, lengths, kind="vectors", norm_order=2)
    np.testing.assert_allclose(loss, 0.25 * 2 * length / 16, rtol=1e-9)
    lengths = jnp.ones(16).at[15].set(0.0)
    loss = losses.posture_consistency_loss(pair, lengths)
    np.testing.assert_allclose(loss, 0, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_bone_lengths_are_compared_with_those_of_the_anchor():
    one = poses(5)[0][:1]
    views = jnp.concatenate([one, 2 * one, 3 * one])
    lengths = geometry.bone_lengths(one, parents=VIDEOPOSE_PARENTS)
    loss = losses.posture_consistency_loss(
        views, jnp.zeros(16), kind="unit_vectors_and_lengths"
    )
    np.testing.assert_allclose(loss, 1.5 * lengths.mean(), rtol=1e-9)


def test_rigid_consistency_compares_adjacent_views():
    # The second view is moved, the third stretched away from it.
    pose = jnp.zeros((4, 3)).at[:, 0].set(jnp.array([-1.0, 1.0, 0.0, 0.0]))
    pose = pose.at[:, 1].set(jnp.array([0.0, 0.0, -2.0, 2.0]))
    views = jnp.stack([pose, pose + 1.0, 1.5 * pose])[:, None]
    # Nothing in the first pair; 0.5, 0.5, 1, 1 in the second.
    np.testing.assert_allclose(losses.rigid_consistency_loss(views), 0.375, atol=1e-6)


def test_coincident_collinear_and_equal_views_have_finite_gradients():
    pose, root = poses(6)
    line = pose[..., :1] * jnp.ones((1, 1, 1, 3))
    same = jnp.broadcast_to(pose[:1], pose.shape)
    still = {
        "orientation": jnp.eye(4)[jnp.zeros(VIEWS, int)],
        "translation": jnp.zeros((VIEWS, 3)),
    }

    @jax.jit
    @jax.value_and_grad
    def total(arrays):
        return sum(jnp.sum(loss) for loss in every_loss(*arrays, **still).values())

    for arrays in ((0 * pose, 0 * root), (line, root), (same, 0 * root)):
        value, gradients = total(arrays)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.usefixtures("float64")
def test_gradients_of_consistency_are_derivatives_and_a_batch_equals_a_loop():
    pose, root = poses(7, 2)
    camera = cameras(8, 2)

    def smooth(pose, root):  # the rigid loss holds its transform constant
        found = every_loss(pose, root, **camera)
        return {name: found[name] for name in found if name != "rigid"}

    check_grads(jax.jit(smooth), (pose, root), order=1, modes=["rev"])
    batched = every(pose, root, **camera)
    arguments = (pose, root, camera["orientation"], camera["translation"])
    singles = [every(*one) for one in zip(*arguments, strict=True)]
    for name, values in batched.items():
        loop = [one[name] for one in singles]
        np.testing.assert_allclose(values, loop, rtol=1e-10, err_msg=name)


@pytest.mark.usefixtures("float64")
def test_the_rigid_transform_is_constant_under_differentiation():
    pose, _ = poses(9)
    first, second = pose[:1], pose[1:2]
    rotation, translation = geometry.rigid_transform(first, second)

    def by_hand(pose):
        moved = pose[:1] @ rotation + translation[..., None, :]
        return jnp.linalg.norm(moved - pose[1:2], axis=-1).mean()

    gradient = jax.jit(jax.grad(losses.rigid_consistency_loss))(pose[:2])
    np.testing.assert_allclose(gradient, jax.grad(by_hand)(pose[:2]), atol=1e-12)


def test_no_group_means_no_loss_and_no_gradient():
    pose, root = poses(10, 2)
    camera = cameras(11, 2)

    def mean(pose, mask):
        loss = losses.pose_consistency_loss(pose, root, **camera)
        return masked_mean(loss, mask)

    both = jax.value_and_grad(mean)
    value, gradient = both(pose, jnp.array([False, False]))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros(pose.shape))
    _, gradient = both(pose, jnp.array([False, True]))
    assert not np.any(gradient[0])
    assert np.any(gradient[1])


def test_consistency_losses_keep_float32():
    pose, root = (x.astype(jnp.float32) for x in poses(12))
    camera = {k: v.astype(jnp.float32) for k, v in cameras(13).items()}
    assert {x.dtype for x in every(pose, root, **camera).values()} == {
        jnp.dtype(jnp.float32)
    }


def test_unknown_names_are_refused():
    pose, root = poses(14)
    with pytest.raises(
        ValueError, match="pairing is 'ancor'; expected one of 'anchor'"
    ):
        losses.pose_consistency_loss(pose, root, pairing="ancor", **cameras(15))
    with pytest.raises(ValueError, match="kind is 'unit'; expected one of"):
        losses.posture_consistency_loss(pose, LENGTHS, kind="unit")
    with pytest.raises(ValueError, match="norm_order is 3; expected 1 or 2"):
        losses.posture_consistency_loss(pose, LENGTHS, norm_order=3)


CASES = (
    "w1_n2_ta_l1", "w1_n2_root_l1", "w2_n2_ta_l2", "w0_n1_root_l1", "w0_n2_root_l1",
    "w0_n3_root_l1", "w0_n3_root_l2", "w1_n0_ta_l1", "w2_n0_root_l1",
)  # fmt: skip


def stored_groups():
    stored, _ = golden("multiview_consistency", system="posture_pose")
    pose = jnp.asarray(stored["in/predicted"]).reshape(4, 4, 1, 17, 3)
    root = jnp.asarray(stored["in/trajectory"]).reshape(4, 4, 1, 3)
    camera = jnp.asarray(stored["in/extrinsic"]).reshape(4, 4, 7)
    camera = {"orientation": camera[..., :4], "translation": camera[..., 4:]}
    masks = {
        kind: jnp.asarray(np.isin(np.arange(16), stored[f"in/{kind}_indices"])[::4])
        for kind in ("pose", "posture")
    }
    return stored, pose, root, camera, masks


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", CASES)
def test_consistency_losses_equal_the_stored_ones(case):
    stored, pose, root, camera, masks = stored_groups()
    match = re.fullmatch(r"w(\d)_n(\d)_(ta|root)_l(\d)", case)
    with_cameras, without, what, order = match.groups()
    labelled = jnp.asarray(stored["in/supervised_pose"])
    lengths = geometry.bone_lengths(labelled).mean(axis=(0, 1))
    posture_mask = masks["posture"] if with_cameras != "0" else jnp.ones(4, bool)

    @jax.jit
    def terms(pose, root):
        found = {}
        if with_cameras != "0":
            loss = losses.pose_consistency_loss(
                pose,
                root,
                pairing=PAIRINGS[int(with_cameras) - 1],
                use_trajectory=what == "ta",
                **camera,
            )
            found["pose"] = masked_mean(loss, masks["pose"])
        if without != "0":
            loss = losses.posture_consistency_loss(
                pose, lengths, kind=POSTURES[int(without) - 1], norm_order=int(order)
            )
            found["posture"] = masked_mean(loss, posture_mask)
        return found

    for name, value in terms(pose, root).items():
        np.testing.assert_allclose(value, stored[f"out/{case}/{name}"], atol=1e-8)
    gradients = jax.grad(lambda *a: sum(terms(*a).values()), (0, 1))(pose, root)
    for name, gradient in zip(("predicted", "trajectory"), gradients, strict=True):
        key = f"grad/{case}/{name}"
        if key in stored:
            found = gradient.reshape(stored[key].shape)
            np.testing.assert_allclose(found, stored[key], atol=1e-8, err_msg=name)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_the_rigid_loss_equals_the_stored_one_but_for_its_translation():
    # The stored one moves by mean_t - s mean_p R without scaling the pose by s.
    stored, pose, _, _, _ = stored_groups()
    group = pose[0]
    first, second = group[:-1], group[1:]
    rotation, translation = geometry.rigid_transform(first, second)
    centre = first.mean(axis=-2, keepdims=True)
    scaled = geometry.similarity_alignment(first, second) - second.mean(
        -2, keepdims=True
    )
    rigid = geometry.rigid_alignment(first, second) - second.mean(-2, keepdims=True)
    scale = jnp.sum(scaled * rigid, (-2, -1)) / jnp.sum(rigid**2, (-2, -1))
    excess = (1 - scale[..., None, None]) * (centre @ rotation)

    def with_excess(group):
        moved = group[:-1] @ rotation + translation[..., None, :] + excess
        return jnp.linalg.norm(moved - group[1:], axis=-1).mean()

    value, gradient = jax.value_and_grad(with_excess)(group)
    np.testing.assert_allclose(value, stored["out/n4_single_group/posture"], atol=1e-8)
    np.testing.assert_allclose(
        gradient, stored["grad/n4_single_group/predicted"], atol=1e-8
    )
    ours = losses.rigid_consistency_loss(group)
    np.testing.assert_allclose(
        ours,
        jnp.linalg.norm(
            rigid + second.mean(-2, keepdims=True) - second, axis=-1
        ).mean(),
    )
