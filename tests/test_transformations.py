"""Every public equation gives the same values inside jit, vmap, pmap and shard_map.

A new function is added by a row in `ROWS`; without one the last test fails.
"""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from posejax import geometry, losses, metrics, priors
from posejax.templates import NATURAL, SCHEMES

EXAMPLES = 8  # one for each of the virtual devices of the test run
SIZE = 16


class Row(NamedTuple):
    """One public function, as a call on the arrays of one example.

    Attributes:
      function: The public function.
      call: How it is called on one example's arrays, or on a batch of them.
      shapes: Shape of each array of one example; drawn as `0.5 + normal / 4`.
      takes_batch: Whether `call` may also be given all examples at once.
    """

    function: Callable
    call: Callable
    shapes: tuple = ()
    takes_batch: bool = True


def row(function, *shapes, takes_batch=True, **options):
    return Row(function, lambda *a: function(*a, **options), shapes, takes_batch)


def constant(function, *args, **options):
    """A function of no array: its result is added to zeros of each example."""
    return Row(function, lambda x: x + function(*args, **options), ((),), False)


def maps_of(raw, scheme="two_step"):
    return geometry.expand_parameters(raw / 8, scheme=SCHEMES[scheme], image_size=SIZE)


def warped(raw):
    blobs = geometry.draw_template(NATURAL, size=SIZE)
    return geometry.warp_template(blobs, maps_of(raw), scheme=SCHEMES["two_step"])


def warped_in_closed_form(raw):
    return geometry.warp_template_closed_form(NATURAL, maps_of(raw), size=SIZE)


def moved_anchors(raw):
    rest = geometry.template_anchors(NATURAL, size=SIZE)
    return geometry.transform_anchors(rest, maps_of(raw))


def weighted(first, second):
    terms = {"anchor": first, "pixel": second}
    return losses.weighted_sum(terms, {"anchor": 0.5, "pixel": 2.0})


def bodies(poses):
    """Poses that are no random clouds but a body, slightly disturbed."""
    body = jnp.asarray(BODY, poses.dtype)
    return jnp.broadcast_to(body, poses.shape) + 0.1 * poses


def posed(call):
    return lambda poses, *rest: call(bodies(poses), *rest)


@functools.cache
def fitted(fit):
    rng = np.random.default_rng(0)
    poses = BODY[None] + 0.05 * rng.normal(size=(200, 17, 3))
    with jax.ensure_compile_time_eval():  # called where a loss is being traced
        return fit(poses)


def lens(points):
    values = jnp.asarray([2.3, 2.3, 0.01, 0.02, -0.2, 0.2, 0.0, 0.001, 0.002])
    return jnp.broadcast_to(values, (*points.shape[:-2], 9)).astype(points.dtype)


def placed(points):
    return points + jnp.asarray([0.0, 0.0, 4.0], points.dtype).reshape(
        (1,) * (points.ndim - 1) + (3,)
    )


def view_cameras(poses):
    turns = jnp.array([[1.0, 0.1, 0.0, 0.0], [0.9, 0.0, 0.2, 0.1]], poses.dtype)
    places = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.5]], poses.dtype)
    batch = poses.shape[:-4]
    return {
        "orientation": jnp.broadcast_to(turns, (*batch, 2, 4)),
        "translation": jnp.broadcast_to(places, (*batch, 2, 3)),
    }


def clip_energy(pose, camera, detections, scale, flow):
    clip = losses.PoseClip(
        0.9 * pose, 90 * detections, detections[..., 0], 20 + scale, 9 * scale, flow
    )
    weights = dict.fromkeys(("det", "flow", "cam"), 0.01)
    weights |= {"prior": 4.0, "pos": 3.0, "bone": 9.0, "pos2d": 0.0}
    return losses.pose_energy(losses.PoseVariables(pose, camera), clip, weights)


def picture_energy(points, confidence, flow):
    clip = losses.PointClip(8 * points, confidence, flow)
    weights = {"prior": 4.0, "flow": 3.0, "temporal": 1.0}
    return losses.point_energy(9 * points, clip, weights)


# A standing body: every bone has a length, no two are parallel.
BODY = np.array(
    [
        [0, 0, 0], [-0.13, 0.01, 0.02], [-0.15, 0.45, -0.03], [-0.17, 0.9, 0.05],
        [0.13, 0.02, -0.02], [0.16, 0.46, -0.06], [0.15, 0.91, 0.02],
        [0.01, -0.25, 0.03], [0.02, -0.5, 0.01], [0.03, -0.58, -0.08],
        [0.02, -0.7, 0.02], [0.17, -0.46, 0.03], [0.3, -0.2, 0.06],
        [0.28, 0.03, -0.05], [-0.15, -0.47, 0.01], [-0.28, -0.22, 0.04],
        [-0.31, 0.02, -0.07],
    ]
)  # fmt: skip
FITS = (priors.fit_bone_proportion, priors.fit_joint_mobility)
POSE, FLAT, VIEWS = (17, 3), (17, 2), (2, 3, 17, 3)
POSES = (
    row(geometry.normalize_screen_coordinates, FLAT, width=1000, height=1002),
    row(geometry.image_coordinates, FLAT, width=1000, height=1002),
    row(geometry.rotate_by_quaternion, (4,), POSE),
    Row(
        geometry.world_to_camera,
        lambda p, q, t: geometry.world_to_camera(p, orientation=q, translation=t),
        (POSE, (4,), (3,)),
    ),
    Row(
        geometry.camera_to_world,
        lambda p, q, t: geometry.camera_to_world(p, orientation=q, translation=t),
        (POSE, (4,), (3,)),
    ),
    Row(
        geometry.project_points,
        lambda p: geometry.project_points(placed(p), lens(p)),
        (POSE,),
    ),
    Row(
        geometry.project_points_linear,
        lambda p: geometry.project_points_linear(placed(p), lens(p)),
        (POSE,),
    ),
    row(geometry.best_rotation, (3, 3)),
    row(geometry.least_squares_scale, POSE, POSE),
    row(geometry.rigid_transform, POSE, POSE),
    row(geometry.rigid_alignment, POSE, POSE),
    row(geometry.similarity_alignment, POSE, POSE),
    row(geometry.similarity_distances, POSE, POSE),
    row(geometry.bone_lengths, POSE),
    Row(geometry.free_bone_vectors, posed(geometry.free_bone_vectors), (POSE,)),
    Row(geometry.free_bone_frames, posed(geometry.free_bone_frames), (POSE,)),
    row(losses.joint_distance_loss, POSE, POSE),
    row(losses.n_mpjpe_loss, POSE, POSE),
    row(losses.velocity_loss, (3, *POSE), (3, *POSE)),
    row(losses.trajectory_loss, (3,), (3,)),
    Row(
        losses.reprojection_loss,
        lambda p, t: losses.reprojection_loss(placed(p), t, lens(p)),
        (POSE, FLAT),
    ),
    row(losses.orthographic_pair, POSE, FLAT, ()),
    row(losses.orthographic_reprojection_loss, POSE, FLAT, ()),
    row(losses.orthographic_scale, POSE, FLAT),
    row(losses.scale_loss, (), POSE, FLAT),
    row(losses.bone_symmetry_loss, POSE),
    row(losses.root_to_origin_loss, POSE),
    row(
        losses.bone_length_difference_over_batch,
        *((4, *POSE), (5, *POSE)),
        takes_batch=False,
    ),
    Row(
        losses.posture_loss,
        lambda p, t: losses.posture_loss(bodies(p), bodies(t)),
        (POSE, POSE),
    ),
    Row(
        losses.pose_consistency_loss,
        lambda p, t: losses.pose_consistency_loss(p, t, **view_cameras(p)),
        (VIEWS, (2, 3, 3)),
    ),
    Row(
        losses.posture_consistency_loss,
        lambda p: posed(losses.posture_consistency_loss)(p, jnp.full(16, 0.3)),
        (VIEWS,),
    ),
    Row(losses.rigid_consistency_loss, posed(losses.rigid_consistency_loss), (VIEWS,)),
    *(
        row(measure, POSE, POSE)
        for measure in (
            metrics.mpjpe, metrics.mpjpe_per_joint, metrics.p_mpjpe,
            metrics.p_mpjpe_per_joint, metrics.n_mpjpe, metrics.n_mpjpe_per_joint,
        )
    ),
    row(metrics.weighted_mpjpe, POSE, POSE, (17,)),
    row(metrics.velocity_error, (3, *POSE), (3, *POSE)),
    row(metrics.velocity_error_per_joint, (3, *POSE), (3, *POSE)),
    *(
        Row(
            measure,
            lambda p, t, measure=measure: measure(bodies(p), bodies(t)),
            (POSE, POSE),
        )
        for measure in (
            metrics.bone_orientation_errors, metrics.mpboe,
            metrics.joint_orientation_errors, metrics.j_mpboe,
        )
    ),
    Row(priors.bone_ratios, posed(priors.bone_ratios), (POSE,)),
    Row(
        priors.bone_proportion_loss,
        posed(lambda p: priors.bone_proportion_loss(p, fitted(FITS[0]))),
        (POSE,),
    ),
    Row(
        priors.joint_mobility_loss,
        posed(lambda p: priors.joint_mobility_loss(p, fitted(FITS[1]))),
        (POSE,),
    ),
)  # fmt: skip
LSP, FIELD = (4, 14, 3), (3, 12, 10, 2)
CLIPS = (
    row(geometry.project_weak_perspective, LSP[1:], (3,), (2,), (2,)),
    row(geometry.lsp_bone_lengths, LSP[1:]),
    row(geometry.skeleton_points, (14, 2)),
    Row(
        geometry.flow_target,
        lambda f, p, q: geometry.flow_target(f, 9 * p, 9 * q, radius=2),
        (FIELD[1:], (20, 2), (20, 2)),
        False,
    ),
    row(losses.frame_term, LSP, LSP),
    row(losses.step_term, LSP),
    row(losses.detection_term, (4, 14, 2), (4, 14, 2), (4, 14)),
    Row(losses.flow_term, lambda p, f: losses.flow_term(9 * p, f), ((4, 14, 2), FIELD)),
    Row(losses.pose_energy, clip_energy, (LSP, (4, 3), (4, 14, 2), (4, 2), FIELD)),
    Row(losses.point_energy, picture_energy, ((4, 17, 2), (4, 17), FIELD)),
    row(metrics.acceleration_error, LSP, LSP),
    row(metrics.acceleration_error_per_joint, LSP, LSP),
    Row(
        metrics.joint_flow_errors,
        lambda f, p, q: metrics.joint_flow_errors(f, 9 * p, 9 * q),
        (FIELD[1:], (14, 2), (14, 2)),
    ),
    Row(
        metrics.joint_flow_distinct_pixels,
        lambda f, p: metrics.joint_flow_distinct_pixels(f, 9 * p),
        (FIELD[1:], (14, 2)),
    ),
)
JOINTS, ANCHORS, PICTURE, MAP = (15, 2), (32, 2), (5, 6, 3), (2, 3)
FLOW, PIXELS = (5, 6, 2), (5, 6)
FLOWS = (
    constant(geometry.pixel_grid, 2, 3),
    row(geometry.sample_map, PICTURE, (4, 3, 2)),
    row(geometry.warp_by_flow, PICTURE, FLOW),
    row(geometry.visible_mask, FLOW, FLOW),
    row(geometry.pad_to_multiple, PICTURE),
    row(geometry.remove_padding, (8, 8, 2), size=(5, 6)),
    Row(
        losses.sequence_loss,
        # Iterations come before the batch.
        lambda p, t, m: losses.sequence_loss(jnp.moveaxis(p, -4, 0), t, mask=m > 0.5),
        ((3, *FLOW), FLOW, PIXELS),
    ),
    row(losses.smooth_flow_loss, FLOW, FLOW),
    row(losses.smooth_flow_loss_per_pixel, FLOW, FLOW),
    row(metrics.endpoint_errors, FLOW, FLOW),
    Row(metrics.num_flow_pixels, lambda m: metrics.num_flow_pixels(m > 0.5), (PIXELS,)),
    Row(
        metrics.mean_endpoint_error,
        lambda p, t, m: metrics.mean_endpoint_error(p, t, mask=m > 0.5),
        (FLOW, FLOW, PIXELS),
    ),
    row(metrics.share_within, FLOW, FLOW, threshold_px=0.3),
    Row(
        metrics.outlier_share, lambda p, t: metrics.outlier_share(9 * p, t), (FLOW,) * 2
    ),
)
ROWS = (
    *FLOWS,
    constant(geometry.identity_affine),
    row(geometry.invert_affine, MAP),
    row(geometry.compose_affine, MAP, MAP),
    row(geometry.transform_points, MAP, (4, 2)),
    row(geometry.warp_images, (6, 7), MAP),
    row(geometry.warp_images_twice, (6, 7), MAP, MAP),
    row(geometry.gaussian_blob, (2,), (2,), (), size=SIZE),
    constant(geometry.draw_template, NATURAL, size=SIZE),
    constant(geometry.template_anchors, NATURAL, size=SIZE),
    Row(geometry.expand_parameters, lambda r: maps_of(r, "constrained"), ((62,),)),
    Row(geometry.warp_template, warped, ((120,),)),
    Row(geometry.warp_template_closed_form, warped_in_closed_form, ((120,),)),
    Row(geometry.transform_anchors, moved_anchors, ((120,),)),
    row(geometry.joints_from_anchors, ANCHORS),
    row(losses.anchor_loss, ANCHORS, image_size=1),
    row(losses.boundary_loss, ANCHORS, image_size=1),
    row(losses.perceptual_loss, PICTURE, PICTURE),
    row(losses.pixel_loss, PICTURE, PICTURE),
    Row(losses.weighted_sum, weighted, ((), ())),
    row(metrics.joint_distances, JOINTS, JOINTS),
    row(metrics.pdj, JOINTS, JOINTS, (), threshold=0.7),
    row(metrics.pdj_left_right_free, JOINTS, JOINTS, (), threshold=0.7),
    row(metrics.normalized_l2, JOINTS, JOINTS, image_size=SIZE),
    row(metrics.normalized_l2_left_right_free, JOINTS, JOINTS, image_size=SIZE),
    row(metrics.swap_sides, JOINTS),
    row(metrics.arms_out, JOINTS, angle_deg=80.0),
    row(metrics.arms_down, JOINTS, angle_deg=5.0),
    row(metrics.segment_ratios, JOINTS),
    row(metrics.proportion_consistency, (9, 13)),
    *POSES,
    *CLIPS,
)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda r: r.function.__name__)


def examples(row):
    rng = np.random.default_rng(0)
    return tuple(
        jnp.asarray(0.5 + rng.normal(size=(EXAMPLES, *shape)) / 4, jnp.float32)
        for shape in row.shapes
    )


def on_a_mesh(call):
    mesh = jax.make_mesh((EXAMPLES,), ("data",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("data")
    return jax.shard_map(call, mesh=mesh, in_specs=spec, out_specs=spec)


@each_row
def test_values_are_the_same_in_every_transformation(row):
    arrays = examples(row)
    alone = jax.jit(row.call)
    singles = [alone(*one) for one in zip(*arrays, strict=True)]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *singles)
    each = jax.vmap(row.call)
    ways = {
        "vmap": jax.jit(each),
        "pmap": jax.pmap(row.call),
        "shard_map": jax.jit(on_a_mesh(each)),
    }
    if row.takes_batch:
        ways["batch"] = jax.jit(row.call)
    for name, way in ways.items():
        found = way(*arrays)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, other in zip(
            jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        ):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(
                one, other, rtol=1e-4, atol=1e-4, err_msg=f"differs inside {name}"
            )


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.shapes != ((),)],  # the others take no array
    ids=lambda r: r.function.__name__,
)
def test_values_of_different_examples_differ(row):
    """So that a function which mixes examples up could not pass the test above."""
    found = jax.tree.leaves(jax.jit(jax.vmap(row.call))(*examples(row)))
    assert any(np.ptp(np.asarray(leaf, np.float32), axis=0).max() > 0 for leaf in found)


def test_every_public_equation_has_a_row():
    public = {
        value
        for module in (geometry, losses, metrics)
        for value in vars(module).values()
        if inspect.isfunction(value)
    }
    missing = {function.__name__ for function in public - {r.function for r in ROWS}}
    assert not missing, f"add a row to ROWS for {', '.join(sorted(missing))}"
