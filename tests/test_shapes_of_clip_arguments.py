"""Clips of poses, points and fields of a wrong shape are refused in one line too.

The test that no equation is without a case is in `test_shapes_of_arguments.py`.
"""

import pytest

from posejax import geometry, losses, metrics
from tests.refusals import assert_shapes_are_refused, ones, refused, refused_by

POSE, POINTS, FIELDS = ones(5, 14, 3), ones(5, 14, 2), ones(4, 8, 9, 2)
VARIABLES = losses.PoseVariables(POSE, ones(5, 3))
CLIP = losses.PoseClip(POSE, POINTS, ones(5, 14), ones(5, 2), ones(5, 2), FIELDS)
POINT_CLIP = losses.PointClip(POINTS, ones(5, 14), FIELDS)
PROJECT = geometry.project_weak_perspective
ACCELERATIONS = (metrics.acceleration_error, metrics.acceleration_error_per_joint)

CLIP_CASES = [
    refused(PROJECT, POSE, ones(5, 4), ones(5, 2), ones(5, 2), match="camera has"),
    refused(PROJECT, POSE, ones(5, 3), ones(5, 1), ones(5, 2), match="scale has"),
    refused(PROJECT, POSE, ones(5, 3), ones(5, 2), ones(2), match="origin ()"),
    refused(PROJECT, POINTS, ones(5, 3), ones(5, 2), ones(5, 2), match="pose has"),
    refused(geometry.lsp_bone_lengths, ones(17, 3), match="joints of 'lsp_14'"),
    refused(geometry.skeleton_points, ones(14, 3), match="joints has shape (14, 3)"),
    refused(
        geometry.skeleton_points,
        ones(14, 2),
        joint_valid=ones(1) > 0,
        match="joint_valid (1,)",
    ),
    refused(
        geometry.flow_target, FIELDS, ones(3, 2), ones(3, 2), match="one pair of frames"
    ),
    refused(
        geometry.flow_target,
        *(ones(8, 9, 2), ones(3, 2), ones(1, 2)),
        match="next_points (1,)",
    ),
    refused(geometry.flow_target, ones(8, 9), ones(3, 2), ones(3, 2), match="flow has"),
    refused(losses.frame_term, POSE, ones(1, 14, 3), match="target (1, 14, 3)"),
    refused(losses.step_term, POSE, frame_valid=ones(1) > 0, match="frame_valid (1,)"),
    refused(losses.step_term, ones(5, 3), match="values has shape (5, 3)"),
    refused(
        losses.detection_term, POINTS, POINTS, ones(5, 1), match="confidence (5, 1)"
    ),
    refused(
        losses.detection_term, POINTS, POSE, ones(5, 14), match="detections (5, 14, 3)"
    ),
    refused(losses.flow_term, POINTS, FIELDS[:1], match="flow (1,)"),
    refused(losses.flow_term, POINTS, FIELDS[..., :1], match="flow has shape"),
    refused(
        losses.flow_term,
        *(POINTS, FIELDS),
        flow_offset=ones(2),
        match="flow_offset (2,)",
    ),
    refused(
        losses.pose_energy,
        *(losses.PoseVariables(POSE, ones(4, 3)), CLIP, {}),
        match="camera (4,)",
    ),
    refused(
        losses.pose_energy,
        *(losses.PoseVariables(ones(5, 17, 3), ones(5, 3)), CLIP, {}),
        match="joints of 'lsp_14'",
    ),
    refused(
        losses.pose_energy,
        *(VARIABLES, CLIP._replace(initial_pose=POSE[:1]), {}),
        match="initial_pose (1,)",
    ),
    refused(losses.point_energy, POINTS[:4], POINT_CLIP, {}, match="points (4, 14)"),
    *refused_by(ACCELERATIONS, POSE, POSE[:1], match="target (1, 14, 3)"),
    *refused_by(ACCELERATIONS, POSE[0], POSE[0], match="predicted has shape (14, 3)"),
    *refused_by(
        (metrics.joint_flow_errors,), FIELDS, POINTS, POINTS, match="joints (5,)"
    ),
    refused(
        metrics.joint_flow_errors, FIELDS, POINTS[:4], POINTS[:1], match="next_joints"
    ),
    refused(
        metrics.joint_flow_errors,
        *(FIELDS, POINTS[:4], POINTS[:4]),
        joint_valid=ones(1) > 0,
        match="joint_valid (1,)",
    ),
    refused(metrics.joint_flow_distinct_pixels, FIELDS, POSE[:4], match="joints has"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "match"), CLIP_CASES)
def test_a_wrong_clip_is_one_line_that_names_the_argument(
    function, arguments, options, match, monkeypatch
):
    assert_shapes_are_refused(function, arguments, options, match, monkeypatch)
