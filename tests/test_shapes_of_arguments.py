"""Arrays of a wrong shape are refused in one line, also where no types are checked.

In this suite jaxtyping would refuse them first; here it is switched off.
"""

import inspect

import jax.numpy as jnp
import pytest

from posejax import geometry, losses, metrics, priors
from posejax.skeletons import H36M_32
from posejax.templates import NATURAL, SCHEMES
from tests.refusals import assert_shapes_are_refused, ones, refused, refused_by
from tests.test_shapes_of_clip_arguments import CLIP_CASES
from tests.test_shapes_of_flow_arguments import FLOW_CASES
from tests.test_shapes_of_pose_arguments import POSE_CASES

PARTS = jnp.zeros((18, 2, 3))


@pytest.mark.parametrize(
    ("function", "arguments", "options", "match"),
    [
        refused(geometry.invert_affine, ones(3, 3), match="maps has shape (3, 3)"),
        refused(geometry.compose_affine, ones(2, 3), ones(4, 2, 3), match="outer"),
        refused(geometry.compose_affine, ones(3, 2), ones(3, 2), match="outer"),
        refused(geometry.transform_points, ones(3, 2, 3), ones(9, 2), match="points"),
        refused(geometry.transform_points, ones(2, 3), ones(9, 3), match="points"),
        refused(geometry.warp_images, ones(2, 4, 4), ones(3, 2, 3), match="images"),
        refused(geometry.warp_images, ones(4, 4), ones(2, 2), match="maps"),
        refused(geometry.warp_images, ones(4), ones(2, 3), match="images"),
        refused(
            geometry.warp_images_twice,
            *(ones(2, 4, 4), ones(2, 3), ones(2, 3)),
            match="maps (), batch (2,)",
        ),
        refused(
            geometry.warp_images_twice,
            *(ones(4, 4), ones(2, 3), ones(5, 2, 3)),
            match="second",
        ),
        refused(
            geometry.gaussian_blob, ones(2), ones(1), ones(), size=4, match="sigmas"
        ),
        refused(
            geometry.gaussian_blob, ones(3), ones(3), ones(), size=4, match="centers"
        ),
        refused(
            geometry.warp_template,
            *(ones(17, 8, 8), [PARTS]),
            scheme=SCHEMES["affine"],
            match="blobs has shape (17, 8, 8)",
        ),
        refused(
            geometry.warp_template,
            *(ones(18, 8, 8), [PARTS[:17]]),
            scheme=SCHEMES["affine"],
            match="maps has shape (17, 2, 3)",
        ),
        refused(
            geometry.warp_template_closed_form,
            *(NATURAL, [PARTS[:1]]),
            size=8,
            match="maps has shape (1, 2, 3)",
        ),
        refused(
            geometry.warp_template_closed_form,
            *(NATURAL, []),
            size=8,
            match="maps has 0 steps",
        ),
        refused(geometry.transform_anchors, ones(32, 2), [ones(2, 3)], match="maps"),
        refused(geometry.transform_anchors, ones(20, 2), [PARTS], match="anchors"),
        refused(
            geometry.joints_from_anchors, ones(20, 2), match="anchors has shape (20, 2)"
        ),
        refused(
            losses.anchor_loss,
            ones(18, 2),
            image_size=64,
            match="anchors has shape (18, 2); expected (..., 32, 2)",
        ),
        refused(losses.boundary_loss, ones(32, 3), image_size=64, match="anchors"),
        *refused_by(
            (losses.pixel_loss, losses.perceptual_loss),
            *(ones(2, 3, 4, 3), ones(2, 3, 4, 1)),
            match="target (2, 3, 4,",
        ),
        refused(losses.pixel_loss, ones(3, 4), ones(3, 4), match="predicted"),
        refused(
            losses.weighted_sum,
            *({"a": ones(2), "b": ones()}, {"a": 1.0, "b": 1.0}),
            match="a (2,), b ()",
        ),
        refused(
            metrics.joint_distances, ones(15, 2), ones(1, 2), match="target (1, 2)"
        ),
        refused(metrics.joint_distances, ones(15, 3), ones(15, 3), match="predicted"),
        refused(
            metrics.joint_distances,
            *(ones(15, 2), ones(15, 2)),
            joint_valid=ones(1) > 0,
            match="joint_valid (1,)",
        ),
        refused(
            metrics.pdj, ones(4, 15, 2), ones(4, 15, 2), ones(), match="diagonal ()"
        ),
        refused(
            metrics.normalized_l2,
            *(ones(15, 2), ones(4, 15, 2)),
            image_size=64,
            match="target (4, 15, 2)",
        ),
        refused(metrics.swap_sides, ones(17, 2), match="joints of 'template_15'"),
        refused(
            metrics.pdj_left_right_free,
            *(ones(15, 2), ones(15, 2), ones()),
            skeleton=H36M_32,
            match="joints of 'h36m_32'",
        ),
        refused(
            metrics.normalized_l2_left_right_free,
            *(ones(17, 2), ones(17, 2)),
            image_size=64,
            match="predicted has shape (17, 2)",
        ),
        refused(metrics.arms_out, ones(12, 2), match="joints has shape (12, 2)"),
        refused(
            metrics.arms_down,
            ones(4, 15, 2),
            joint_valid=ones(15) > 0,
            match="joint_valid (15,)",
        ),
        refused(metrics.segment_ratios, ones(17, 2), match="expected (..., 15, 2)"),
        refused(metrics.proportion_consistency, ones(5, 12), match="(..., frames, 13)"),
    ],
)
def test_a_wrong_shape_is_one_line_that_names_the_argument(
    function, arguments, options, match, monkeypatch
):
    assert_shapes_are_refused(function, arguments, options, match, monkeypatch)


def test_every_equation_that_takes_arrays_has_a_case():
    (mark,) = test_a_wrong_shape_is_one_line_that_names_the_argument.pytestmark
    cases = [*mark.args[1], *POSE_CASES, *FLOW_CASES, *CLIP_CASES]
    covered = {case.values[0] for case in cases}
    public = {
        value
        for module in (geometry, losses, metrics, priors)
        for value in vars(module).values()
        if inspect.isfunction(value)
    }
    without = public - covered - {
        geometry.identity_affine,
        geometry.draw_template,
        geometry.template_anchors,
        geometry.pixel_grid,
        geometry.expand_parameters,  # in test_geometry_template.py
        priors.load_bone_proportion,
        priors.load_description,
        priors.load_joint_mobility,
        priors.save_prior,
    }  # fmt: skip
    assert not without, f"add a case for {sorted(f.__name__ for f in without)}"
