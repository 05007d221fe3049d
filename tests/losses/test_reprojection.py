import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import losses
from posejax.losses.reprojection import ALIGNMENTS, PROJECTIONS

LENS = (2.3, 2.2, 0.02, -0.03, -0.2, 0.24, -0.003, -0.001, -0.0014)
each_alignment = pytest.mark.parametrize("alignment", ALIGNMENTS)


def arrays(seed, *batch):
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(*batch, 5, 3)) + np.array([0.0, 0.0, 5.0])
    picture = rng.normal(size=(*batch, 5, 2))
    return jnp.asarray(pose), jnp.asarray(picture)


def test_reprojection_by_hand():
    lens = jnp.array([2.0, 2.0, 0.5, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0])
    pose = jnp.array([[2.0, 0.0, 4.0], [0.0, 0.0, 4.0]])
    picture = jnp.array([[0.5, 0.0], [0.5, 3.0]])
    by_hand = {"perspective": (1.025 + 3) / 2, "linear": (1 + 3) / 2, "none": 0.0}
    for projection, expected in by_hand.items():
        loss = losses.reprojection_loss(pose, picture, lens, projection=projection)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_orthographic_alignments_by_hand():
    # p = 1, 3, p0 = 1; t = 10, 14, t0 = 10; s = 0.5; nothing happens along y.
    pose = jnp.array([[1.0, 0.0, 9.0], [3.0, 0.0, 9.0]])
    picture = jnp.array([[10.0, 0.0], [14.0, 0.0]])
    by_hand = {
        "root_aligned": ([10.0, 11.0], [10, 14], 1.5),
        "root_added": ([10.5, 11.5], [10, 14], 1.5),
        "both_rooted": ([0.0, 1.0], [0, 4], 1.5),
        "target_rooted": ([0.5, 1.5], [0, 4], 1.5),
        "target_rescaled": ([1.0, 3.0], [0, 8], 3.0),
        "both_rooted_target_rescaled": ([0.0, 2.0], [0, 8], 3.0),
    }
    assert set(by_hand) == set(ALIGNMENTS)
    for alignment, (shown, wanted, loss) in by_hand.items():
        options = {"alignment": alignment}
        pair = losses.orthographic_pair(pose, picture, jnp.array(0.5), **options)
        np.testing.assert_allclose(pair[0][:, 0], shown, err_msg=alignment)
        np.testing.assert_allclose(pair[1][:, 0], wanted, err_msg=alignment)
        found = losses.orthographic_reprojection_loss(
            pose, picture, jnp.array(0.5), **options
        )
        np.testing.assert_allclose(found, loss, err_msg=alignment)


@each_alignment
def test_the_predicted_root_counts_unless_it_is_subtracted(alignment):
    pose, picture = arrays(0, 2)
    gradient = jax.grad(
        lambda p: losses.orthographic_reprojection_loss(
            p, picture, jnp.ones(2), alignment=alignment
        ).sum()
    )(pose)
    total = np.abs(np.sum(gradient[..., :2], axis=-2)).max()
    if alignment in ("root_added", "target_rooted", "target_rescaled"):
        assert total > 1e-2
    else:
        np.testing.assert_allclose(total, 0, atol=1e-6)
    np.testing.assert_array_equal(gradient[..., 2], np.zeros((2, 5)))


@each_alignment
def test_the_scale_gets_no_gradient_and_may_be_zero(alignment):
    pose, picture = arrays(1, 2)
    value, gradients = jax.value_and_grad(
        lambda p, s: losses.orthographic_reprojection_loss(
            p, picture, s, alignment=alignment
        ).sum(),
        (0, 1),
    )(pose, jnp.array([0.0, 0.3]))
    assert np.isfinite(value)
    assert np.isfinite(gradients[0]).all()
    np.testing.assert_array_equal(gradients[1], np.zeros(2))


def test_the_best_scale_does_not_see_where_the_root_is():
    pose, _ = arrays(2, 3)
    picture = 0.25 * pose[..., :2] + 3.0
    moved = pose + jnp.array([[[1.0, 2.0, 0.0]]])
    np.testing.assert_allclose(
        losses.orthographic_scale(moved, picture), 0.25, rtol=1e-5
    )
    found = losses.scale_loss(jnp.array([0.25, 0.0, 0.5]), pose, picture)
    np.testing.assert_allclose(found, [0, 0.25, 0.25], atol=1e-6)


def test_scale_loss_trains_the_predicted_scale_alone_and_is_finite_for_no_pose():
    pose = jnp.zeros((1, 5, 3))
    gradients = jax.grad(lambda *a: losses.scale_loss(*a).sum(), (0, 1, 2))(
        jnp.array([0.5]), pose, pose[..., :2]
    )
    np.testing.assert_allclose(gradients[0], [1.0])
    assert not any(np.any(g) for g in gradients[1:])


@pytest.mark.slow
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_joint_in_or_behind_the_camera_or_in_place_has_a_finite_gradient(projection):
    pose = jnp.array([[0.0, 0, 0], [1, 1, 0], [1, 1, -1], [0, 0, 4], [0, 0, 1e-20]])
    loss = jax.value_and_grad(losses.reprojection_loss)
    picture = jnp.broadcast_to(jnp.array([[0.02, -0.03]]), (5, 2))
    value, gradient = loss(pose, picture, jnp.array(LENS), projection=projection)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_an_unknown_name_is_refused_with_the_legal_ones():
    pose, picture = arrays(3)
    with pytest.raises(
        ValueError, match="projection is 'prespective'; expected one of"
    ):
        losses.reprojection_loss(
            pose, picture, jnp.array(LENS), projection="prespective"
        )
    with pytest.raises(ValueError, match="alignment is 'rooted'; expected one of"):
        losses.orthographic_pair(pose, picture, jnp.ones(()), alignment="rooted")


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_gradients_of_reprojection_are_derivatives_and_a_batch_equals_a_loop():
    pose, picture = arrays(4, 3)
    lens = jnp.asarray(LENS)[None] * (1 + 0.1 * jnp.arange(3.0)[:, None])
    scale = jnp.array([0.3, 0.5, 0.7])

    def every_loss(pose, picture, lens, scale):
        perspective = [
            losses.reprojection_loss(pose, picture, lens, projection=name)
            for name in PROJECTIONS
        ]
        return perspective + [
            losses.orthographic_reprojection_loss(pose, picture, scale, alignment=name)
            for name in ALIGNMENTS
        ]

    def constant_scale(pose, picture, lens):
        return every_loss(pose, picture, lens, scale)

    check_grads(jax.jit(constant_scale), (pose, picture, lens), 1, modes=["rev"])
    check_grads(
        jax.jit(lambda s: losses.scale_loss(s, pose, picture)),
        (scale,),
        1,
        modes=["rev"],
    )
    arguments = (pose, picture, lens, scale)
    singles = [every_loss(*one) for one in zip(*arguments, strict=True)]
    batched = jax.jit(every_loss)(*arguments)
    np.testing.assert_allclose(batched, np.transpose(singles), rtol=1e-12)
    loop = [losses.scale_loss(*one) for one in zip(scale, pose, picture, strict=True)]
    np.testing.assert_allclose(losses.scale_loss(scale, pose, picture), loop)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_orthographic_pictures_and_scale_equal_the_stored_ones():
    stored, _ = golden("metrics", system="posture_pose")
    target, picture = (
        jnp.asarray(stored[f"in/{k}"]) for k in ("target", "keypoints_2d")
    )
    scale = losses.orthographic_scale(target, picture)
    np.testing.assert_allclose(scale, stored["out/scale"][..., 0, 0], atol=1e-8)
    scale = jnp.full(target.shape[:-2], 0.3)
    for k, alignment in enumerate(ALIGNMENTS[:4], start=1):
        shown, _ = losses.orthographic_pair(
            target + 0.01, picture, scale, alignment=alignment
        )
        np.testing.assert_allclose(shown, stored[f"out/orthographic_{k}"], atol=1e-8)


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "step",
    ["semi_posturepose_cameras", "semi_posturepose_no_cameras", "semi_videopose3d"],
)
def test_the_reprojection_terms_of_a_stored_step_are_equal(step):
    stored, meta = golden(step, system="posture_pose")
    labelled = len(stored["in/pose3d"])
    predicted = jnp.asarray(stored["out/predicted_pose"])
    auxiliary = jnp.asarray(stored["out/predicted_auxiliary"])
    pose = predicted[labelled:, 0]
    picture = jnp.asarray(stored["in/semi_target2d"], jnp.float64)[:, meta["pad"]]
    if meta["projection_type"] == 1:
        lens = jnp.asarray(stored["in/semi_intrinsic"])
        loss = losses.reprojection_loss(pose + auxiliary[labelled:, 0], picture, lens)
    else:
        assert meta["projection_type"] == -2
        loss = losses.orthographic_reprojection_loss(
            pose, picture, auxiliary[labelled:, 0, 0, 0], alignment="root_added"
        )
        true = jnp.asarray(stored["in/pose3d"])[:, 0].at[:, 0].set(0.0)
        scales = losses.scale_loss(
            auxiliary[:labelled, 0, 0, 0], true, jnp.asarray(stored["in/pose2d"])[:, 0]
        )
        np.testing.assert_allclose(
            scales.mean(), stored["out/term/auxiliary"], atol=1e-8
        )
    np.testing.assert_allclose(loss.mean(), stored["out/term/reprojection"], atol=1e-8)
