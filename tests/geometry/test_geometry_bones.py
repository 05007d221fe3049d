import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax.geometry import bones
from posejax.geometry.bones import FREE_BONE_TABLE, FREE_BONES, free_bone_vectors
from posejax.skeletons import H36M_17
from tests.fill import GOLDEN, golden

MODES = [(False, "joint"), (False, "pair"), (True, "joint"), (True, "pair")]
NAMES = {False: "per_joint", True: "grouped", "joint": 4, "pair": 5}


def poses(seed, *batch):
    return np.random.default_rng(seed).normal(scale=0.3, size=(*batch, 17, 3))


def index(name):
    return FREE_BONES.index(name)


def rotation(seed):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def one_by_one(pose, grouped, plane):
    """The published formulas, one bone at a time."""
    vectors = []
    for bone in FREE_BONE_TABLE:
        origin, first, second = (
            pose[bone.pivot],
            pose[bone.plane],
            pose[bone.plane_pair],
        )
        a, p = pose[bone.axis] - origin, first - origin
        if plane == "pair" and bone.plane != bone.plane_pair:
            u = (second - first) / np.linalg.norm(second - first)
            p = -np.dot(origin - first, u) * u
        n = np.cross(a, p)
        q = np.cross(n, a)
        frame = np.zeros((3, 3))
        frame[bone.axis_row] = bone.axis_sign * a / np.linalg.norm(a)
        frame[1 - bone.axis_row] = bone.plane_sign * q / np.linalg.norm(q)
        frame[2] = bone.normal_sign * n / np.linalg.norm(n)
        if grouped and bone.name.startswith("L"):
            frame[0] *= -1
        vectors.append(frame @ (pose[bone.free] - origin))
    return np.array(vectors)


def degenerate_poses():
    """Each pose, the bone in it that is degenerate, and its unit vector."""
    pose = poses(7).astype(np.float32)
    leg, abdomen = index("RLeg"), index("Abdomen")
    straight = pose.copy()  # hip, knee and pelvis in a line, the ankle aside
    straight[[0, 1, 2]] = [[0, 0, 0], [0, 0.5, 0], [0, 1.0, 0]]
    straight[3] = [0.25, 1.5, 0.25]
    level = straight.copy()
    level[3] = [0.25, 1.0, 0.25]
    no_axis = pose.copy()
    no_axis[1] = no_axis[2]
    no_bone = pose.copy()
    no_bone[3] = no_bone[2]
    no_plane = pose.copy()
    no_plane[0] = no_plane[2]
    # The pelvis projects onto its plane joint, so that the pair has no direction.
    under = pose.copy()
    under[[0, 1, 4, 8, 7]] = [
        [0, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0], [0, -0.5, 0.5], [0, -0.5, 0.75]
    ]  # fmt: skip
    zero = np.zeros(3)
    return [
        (np.zeros((17, 3), np.float32), leg, zero),
        (no_axis, leg, zero),
        (no_bone, leg, zero),
        (straight, leg, np.array([0.0, -1.0, 0.0])),
        (level, leg, zero),
        (no_plane, leg, None),
        (under, abdomen, np.array([0.0, 1.0, 0.0])),
    ]


def test_a_bone_ends_in_the_joint_after_it_and_has_the_length_of_its_offset():
    pose = np.zeros((17, 3), np.float32)
    pose[10] = [3.0, 4.0, 0.0]  # the crown: head 5, upper face 5, nothing else
    lengths = bones.bone_lengths(jnp.asarray(pose))
    expected = np.zeros(16)
    expected[[bones.BONES.index("Head"), bones.BONES.index("UFace")]] = 5.0
    np.testing.assert_array_equal(lengths, expected)
    # VideoPose3D's neck-nose-crown: only the bone to the crown is long.
    tree = bones.bone_lengths(jnp.asarray(pose), parents=bones.VIDEOPOSE_PARENTS)
    np.testing.assert_array_equal(tree, 5.0 * (np.arange(16) == 9))
    assert H36M_17.parents[1:] == bones.VIDEOPOSE_PARENTS


def test_bone_lengths_equal_a_loop_over_the_bones():
    pose = poses(0, 2)
    for parents in (bones.BONE_PARENTS, bones.VIDEOPOSE_PARENTS):
        loop = [np.linalg.norm(pose[:, b + 1] - pose[:, p], axis=-1)
                for b, p in enumerate(parents)]  # fmt: skip
        lengths = bones.bone_lengths(jnp.asarray(pose, jnp.float32), parents=parents)
        np.testing.assert_allclose(lengths, np.transpose(loop), rtol=1e-6)


def test_a_bone_of_length_zero_has_zero_gradient():
    gradient = jax.grad(lambda p: bones.bone_lengths(p).sum())(jnp.ones((17, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((17, 3)))


def test_free_bones_are_the_bones_in_another_order():
    ends = [(b.pivot, b.free) for b in FREE_BONE_TABLE]
    tree = [(bones.BONE_PARENTS[b], b + 1) for b in bones.FREE_BONE_LENGTH_ORDER]
    assert ends == tree
    assert sorted(bones.FREE_BONE_LENGTH_ORDER) == list(range(16))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("grouped", "plane"), MODES)
def test_all_bones_at_once_equal_one_bone_at_a_time(grouped, plane):
    batch = poses(1, 3)
    loop = np.stack([one_by_one(pose, grouped, plane) for pose in batch])
    options = {"grouped": grouped, "plane": plane}
    vectors = free_bone_vectors(jnp.asarray(batch), **options, unit=False)
    np.testing.assert_allclose(vectors, loop, atol=1e-12)
    units = free_bone_vectors(jnp.asarray(batch), **options)
    lengths = np.linalg.norm(loop, axis=-1, keepdims=True)
    np.testing.assert_allclose(units, loop / lengths, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_frames_are_orthonormal_and_show_the_bone():
    pose = jnp.asarray(poses(2))
    frames = bones.free_bone_frames(pose)
    products = frames @ jnp.swapaxes(frames, -1, -2)
    np.testing.assert_allclose(products, np.tile(np.eye(3), (16, 1, 1)), atol=1e-12)
    is_left = np.array([name.startswith("L") for name in FREE_BONES])
    sides = np.where(is_left, -1.0, 1.0)
    np.testing.assert_allclose(jnp.linalg.det(frames), sides, atol=1e-12)
    alone = jnp.linalg.det(bones.free_bone_frames(pose, grouped=False))
    np.testing.assert_allclose(alone, np.ones(16), atol=1e-12)
    table = np.array([(b.pivot, b.free) for b in FREE_BONE_TABLE])
    offsets = pose[table[:, 1]] - pose[table[:, 0]]
    np.testing.assert_allclose(
        jnp.einsum("bij,bj->bi", frames, offsets),
        free_bone_vectors(pose, unit=False),
        atol=1e-12,
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("grouped", "plane"), MODES)
def test_turning_and_moving_the_body_does_not_change_a_free_bone(grouped, plane):
    pose = poses(3)
    moved = pose @ rotation(4).T + np.array([[1.0, -2.0, 5.0]])
    np.testing.assert_allclose(
        free_bone_vectors(jnp.asarray(moved), grouped=grouped, plane=plane),
        free_bone_vectors(jnp.asarray(pose), grouped=grouped, plane=plane),
        atol=1e-12,
    )


@pytest.mark.usefixtures("float64")
def test_a_left_limb_equals_the_right_limb_of_the_mirrored_pose_if_grouped():
    pose = poses(5)
    mirrored = pose[H36M_17.mirror()] * np.array([[-1.0, 1.0, 1.0]])
    left = np.array([i for i, name in enumerate(FREE_BONES) if name[0] == "L"])
    right = np.array([index("R" + FREE_BONES[i][1:]) for i in left])
    ours = free_bone_vectors(jnp.asarray(pose))
    theirs = free_bone_vectors(jnp.asarray(mirrored))
    np.testing.assert_allclose(ours[left], theirs[right], atol=1e-12)
    alone = free_bone_vectors(jnp.asarray(pose), grouped=False)
    assert np.all(np.abs(alone[left, 0] + ours[left, 0]) < 1e-12)
    np.testing.assert_array_equal(alone[right], ours[right])


def test_a_degenerate_bone_has_the_stated_vector_and_a_finite_gradient():
    found = degenerate_poses()
    batch = jnp.asarray(np.stack([pose for pose, _, _ in found]))
    cotangent = jnp.asarray(poses(6, len(found))[:, :16], jnp.float32)

    @jax.jit
    def evaluate(batch):
        def total(batch, unit):
            vectors = free_bone_vectors(batch, grouped=False, plane="pair", unit=unit)
            frames = bones.free_bone_frames(batch, grouped=False, plane="pair")
            return jnp.sum(vectors * cotangent) + jnp.sum(frames**3), vectors

        results = [jax.grad(total, has_aux=True)(batch, unit) for unit in (True, False)]
        return results[0][1], results[0][0], results[1][0]

    with jax.debug_nans(True):
        vectors, *gradients = evaluate(batch)
    for (_, bone, expected), vector in zip(found, vectors, strict=True):
        if expected is None:  # no plane: what remains lies along the axis
            expected = np.array([0.0, np.sign(vector[bone, 1]), 0.0])
            assert expected[1] != 0
        np.testing.assert_allclose(vector[bone], expected, atol=1e-6)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))
        assert np.abs(gradient).max() < 1e4
        np.testing.assert_array_equal(gradient[0], np.zeros((17, 3)))
        assert np.abs(gradient[3]).max() > 0  # the other bones of the pose still pull


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("grouped", "plane"), [MODES[0], MODES[3]])
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(grouped, plane):
    pose = jnp.asarray(poses(8, 2))

    def vectors(pose):
        return free_bone_vectors(pose, grouped=grouped, plane=plane)

    check_grads(jax.jit(vectors), (pose,), order=1, modes=("rev",), eps=1e-6)
    loop = jnp.stack([vectors(one) for one in pose])
    np.testing.assert_allclose(jax.jit(vectors)(pose), loop, atol=1e-13)


def test_the_dtype_is_that_of_the_pose():
    pose = jnp.asarray(poses(9), jnp.float32)
    assert bones.bone_lengths(pose).dtype == jnp.float32
    assert free_bone_vectors(pose, plane="pair").dtype == jnp.float32
    assert bones.free_bone_frames(pose).dtype == jnp.float32


def test_an_unknown_plane_is_refused_by_name():
    with pytest.raises(ValueError, match="plane is 'quadruple'; expected one of"):
        free_bone_vectors(jnp.zeros((17, 3)), plane="quadruple")


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("grouped", "plane"), MODES)
def test_alignment_equals_the_stored_one(grouped, plane):
    arrays, meta = golden("alignment", system="posture_pose")
    assert list(FREE_BONES) == meta["bone_order"]
    pose, options = jnp.asarray(arrays["in/pose"]), {"grouped": grouped, "plane": plane}
    name = f"{NAMES[grouped]}_{NAMES[plane]}"
    for found, key in (
        (free_bone_vectors(pose, **options), "uvecs"),
        (free_bone_vectors(pose, **options, unit=False), "vecs"),
        (bones.free_bone_frames(pose, **options), "rotation"),
    ):
        np.testing.assert_allclose(found, arrays[f"out/{key}_{name}"], atol=1e-12)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("grouped", [False, True])
def test_two_successive_rotations_give_the_same_unit_vectors(grouped):
    arrays, _ = golden("alignment", system="posture_pose")
    found = free_bone_vectors(jnp.asarray(arrays["in/pose"]), grouped=grouped)
    stored = arrays[f"out/quat_uvecs_{NAMES[grouped]}_4"]
    # The stored variant takes the other plane joint for these two.
    same = np.array([n not in ("UFace", "Abdomen") for n in FREE_BONES])
    np.testing.assert_allclose(found[..., same, :], stored[..., same, :], atol=1e-12)


@pytest.mark.golden
def test_the_tables_are_those_of_the_published_priors():
    folder = GOLDEN / "posture_pose/priors"
    with np.load(folder / "S1_bone_ratio.npz") as file:
        assert file["bone_names"].tolist() == list(bones.BONES)
        assert file["bone_parent"].tolist() == list(bones.BONE_PARENTS)
    with np.load(folder / "S1_joint_mobility.npz") as file:
        assert file["bone_order"].tolist() == list(FREE_BONES)
        for field in ("pivot", "axis", "plane", "free", "axis_row", "normal_sign"):
            ours = [getattr(bone, field) for bone in FREE_BONE_TABLE]
            assert file[field].tolist() == ours, field
