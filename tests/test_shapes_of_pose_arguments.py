"""Poses, cameras and priors of a wrong shape are refused in one line too.

The cases of pictures and templates, and the test that no equation is without one, are
in `test_shapes_of_arguments.py`.
"""

import numpy as np
import pytest

from posejax import geometry, losses, metrics, priors
from tests.refusals import assert_shapes_are_refused, ones, refused, refused_by

BODY = ones(17, 3)
PROPORTION = priors.BoneProportionPrior(np.ones(15), np.ones(15), 0.05)
MOBILITY = priors.JointMobilityPrior(
    *(np.zeros((16, 3)), np.stack([np.eye(3)] * 16), np.stack([np.eye(3)] * 16)),
    *(np.zeros((17, 6)), np.stack([np.eye(6)] * 17), np.stack([np.eye(6)] * 17)),
    grouped=True,
)
# Functions of one kind of arguments.
MOVES = (geometry.world_to_camera, geometry.camera_to_world)
PROJECTIONS = (geometry.project_points, geometry.project_points_linear)
ALIGNMENTS = (
    geometry.rigid_transform,
    geometry.rigid_alignment,
    geometry.similarity_alignment,
    geometry.similarity_distances,
)
VELOCITIES = (
    losses.velocity_loss,
    metrics.velocity_error,
    metrics.velocity_error_per_joint,
)
PICTURES = (losses.orthographic_pair, losses.orthographic_reprojection_loss)

CAMERA_CASES = [
    refused(
        geometry.normalize_screen_coordinates,
        ones(17, 3),
        **{"width": 4, "height": 2},
        match="pixels has shape (17, 3)",
    ),
    refused(
        geometry.image_coordinates,
        ones(1),
        **{"width": 4, "height": 2},
        match="points_unit has shape (1,)",
    ),
    refused(
        geometry.rotate_by_quaternion, ones(3), BODY, match="quaternion has shape (3,)"
    ),
    refused(
        geometry.rotate_by_quaternion,
        *(ones(4), ones(5, 17, 3)),
        match="points (5,), quaternion ()",
    ),
    refused(geometry.rotate_by_quaternion, ones(4), ones(3), match="points"),
    *refused_by(
        MOVES,
        ones(5, 17, 3),
        **{"orientation": ones(5, 4), "translation": ones(3)},
        match="translation ()",
    ),
    *refused_by(
        MOVES,
        BODY,
        **{"orientation": ones(4), "translation": ones(1)},
        match="translation has shape (1,)",
    ),
    *refused_by(PROJECTIONS, BODY, ones(4), match="intrinsics has shape (4,)"),
    *refused_by(PROJECTIONS, ones(5, 17, 3), ones(1, 9), match="intrinsics (1,)"),
]

ALIGNMENT_CASES = [
    refused(geometry.best_rotation, ones(4, 4), match="covariance has shape (4, 4)"),
    refused(geometry.least_squares_scale, ones(17, 2), ones(2), match="target has"),
    *refused_by(
        (geometry.least_squares_scale, *ALIGNMENTS),
        ones(17, 3),
        ones(1, 3),
        match="source (17, 3), target (1, 3)",
    ),
    *refused_by(ALIGNMENTS, ones(17, 2), ones(17, 2), match="source has shape (17, 2)"),
]

JOINT_CASES = [
    *refused_by(
        (
            losses.joint_distance_loss,
            losses.n_mpjpe_loss,
            metrics.mpjpe,
            metrics.mpjpe_per_joint,
            metrics.p_mpjpe,
            metrics.p_mpjpe_per_joint,
            metrics.n_mpjpe,
            metrics.n_mpjpe_per_joint,
        ),
        ones(17, 3),
        ones(1, 3),
        match="target (1, 3)",
    ),
    *refused_by(VELOCITIES, ones(5, 17, 3), ones(5, 1, 3), match="target (5, 1, 3)"),
    *refused_by(VELOCITIES, BODY, BODY, match="predicted has shape (17, 3)"),
    refused(metrics.p_mpjpe, ones(17, 2), ones(17, 2), match="predicted has shape"),
    refused(
        losses.joint_distance_loss, BODY, BODY, mask=ones(1) > 0, match="mask (1,)"
    ),
    refused(metrics.weighted_mpjpe, BODY, BODY, ones(1), match="weight (1,)"),
    refused(metrics.weighted_mpjpe, BODY, ones(1, 3), ones(17), match="target (1, 3)"),
    refused(losses.trajectory_loss, ones(5, 2), ones(5, 2), match="predicted has"),
    refused(losses.trajectory_loss, ones(5, 3), ones(3), match="target (3,)"),
]

BODY_CASES = [
    *refused_by(
        (
            geometry.bone_lengths,
            geometry.free_bone_frames,
            geometry.free_bone_vectors,
            losses.bone_symmetry_loss,
            losses.root_to_origin_loss,
            priors.bone_ratios,
        ),
        ones(15, 3),
        match="pose has shape (15, 3)",
    ),
    *refused_by(
        (
            losses.posture_loss,
            metrics.bone_orientation_errors,
            metrics.joint_orientation_errors,
            metrics.mpboe,
            metrics.j_mpboe,
        ),
        ones(15, 3),
        ones(15, 3),
        match="predicted has shape (15, 3)",
    ),
    *refused_by(
        (losses.posture_loss, metrics.bone_orientation_errors),
        BODY,
        ones(5, 17, 3),
        match="target (5, 17, 3)",
    ),
    refused(
        losses.bone_length_difference_over_batch,
        *(ones(4, 17, 3), ones(4, 15, 3)),
        match="unlabelled has shape (4, 15, 3)",
    ),
    refused(
        losses.bone_length_difference_over_batch,
        *(ones(4, 17, 3), ones(2, 17, 3)),
        labelled_mask=ones(1) > 0,
        match="labelled_mask (1,)",
    ),
    refused(
        losses.bone_length_difference_over_batch,
        *(ones(4, 17, 3), ones(2, 17, 3)),
        unlabelled_mask=ones(4) > 0,
        match="unlabelled_mask (4,)",
    ),
]

PICTURE_CASES = [
    refused(
        losses.reprojection_loss, *(BODY, ones(1, 2), ones(9)), match="target_2d (1,)"
    ),
    refused(losses.reprojection_loss, BODY, ones(17, 2), ones(4), match="intrinsics"),
    refused(
        losses.reprojection_loss,
        *(ones(5, 17, 3), ones(5, 17, 2), ones(9)),
        match="poses (5,), intrinsics ()",
    ),
    *refused_by(PICTURES, ones(5, 17, 3), ones(5, 17, 2), ones(), match="scale ()"),
    *refused_by(
        PICTURES, ones(17, 2), ones(17, 2), ones(), match="predicted has shape"
    ),
    refused(losses.orthographic_scale, BODY, ones(1, 2), match="pose_2d (1,)"),
    refused(losses.scale_loss, ones(), BODY, BODY, match="pose_2d has shape (17, 3)"),
    refused(
        losses.scale_loss,
        *(ones(), ones(5, 17, 3), ones(5, 17, 2)),
        match="poses (5,), predicted ()",
    ),
]

VIEW_CASES = [
    *(
        refused(
            losses.pose_consistency_loss,
            *(ones(2, 5, 17, 3), ones(*root)),
            **{"orientation": ones(*turn), "translation": ones(*centre)},
            match=match,
        )
        for root, turn, centre, match in (
            ((2, 1, 3), (2, 4), (2, 3), "trajectories (2, 1, 3)"),
            ((2, 5, 3), (1, 4), (2, 3), "orientation (1, 4)"),
            ((2, 5, 3), (2, 4), (3,), "translation (3,)"),
        )
    ),
    refused(
        losses.posture_consistency_loss,
        *(ones(2, 5, 15, 3), ones(16)),
        match="poses has shape (2, 5, 15, 3)",
    ),
    refused(
        losses.posture_consistency_loss,
        *(ones(2, 5, 17, 3), ones(15)),
        match="mean_lengths (15,)",
    ),
    refused(losses.rigid_consistency_loss, ones(5, 17, 3), match="poses has shape"),
]

PRIOR_CASES = [
    refused(priors.bone_proportion_loss, ones(15, 3), PROPORTION, match="pose has"),
    refused(priors.joint_mobility_loss, ones(15, 3), MOBILITY, match="pose has"),
    refused(priors.log_likelihood, PROPORTION, ones(15, 3), match="pose has shape"),
    refused(
        priors.log_likelihood, MOBILITY, ones(17, 2), match="expected (..., 17, 3)"
    ),
    refused(priors.bone_proportion_prior, np.ones((9, 17)), match="lengths (9, 17)"),
    refused(priors.bone_proportion_prior, np.ones(16), match="lengths (16,)"),
    *(
        refused(fit, np.ones(shape), match=f"poses {shape}")
        for fit in (priors.fit_bone_proportion, priors.fit_joint_mobility)
        for shape in ((9, 32, 3), (9, 17, 2), (17, 3))
    ),
]

POSE_CASES = [
    *(*CAMERA_CASES, *ALIGNMENT_CASES, *JOINT_CASES, *BODY_CASES),
    *(*PICTURE_CASES, *VIEW_CASES, *PRIOR_CASES),
]


@pytest.mark.parametrize(("function", "arguments", "options", "match"), POSE_CASES)
def test_a_wrong_pose_camera_or_body_is_one_line_that_names_the_argument(
    function, arguments, options, match, monkeypatch
):
    assert_shapes_are_refused(function, arguments, options, match, monkeypatch)
