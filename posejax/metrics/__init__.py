"""Metrics: pure, one value per example or joint, masked instead of filtered."""

from posejax.metrics.flow import endpoint_errors as endpoint_errors
from posejax.metrics.flow import mean_endpoint_error as mean_endpoint_error
from posejax.metrics.flow import num_flow_pixels as num_flow_pixels
from posejax.metrics.flow import outlier_share as outlier_share
from posejax.metrics.flow import share_within as share_within
from posejax.metrics.joint_flow import JointFlowErrors as JointFlowErrors
from posejax.metrics.joint_flow import (
    joint_flow_distinct_pixels as joint_flow_distinct_pixels,
)
from posejax.metrics.joint_flow import joint_flow_errors as joint_flow_errors
from posejax.metrics.keypoints import arms_down as arms_down
from posejax.metrics.keypoints import arms_out as arms_out
from posejax.metrics.keypoints import joint_distances as joint_distances
from posejax.metrics.keypoints import normalized_l2 as normalized_l2
from posejax.metrics.keypoints import (
    normalized_l2_left_right_free as normalized_l2_left_right_free,
)
from posejax.metrics.keypoints import pdj as pdj
from posejax.metrics.keypoints import pdj_left_right_free as pdj_left_right_free
from posejax.metrics.keypoints import swap_sides as swap_sides
from posejax.metrics.orientation import (
    bone_orientation_errors as bone_orientation_errors,
)
from posejax.metrics.orientation import j_mpboe as j_mpboe
from posejax.metrics.orientation import (
    joint_orientation_errors as joint_orientation_errors,
)
from posejax.metrics.orientation import mpboe as mpboe
from posejax.metrics.pose_errors import acceleration_error as acceleration_error
from posejax.metrics.pose_errors import (
    acceleration_error_per_joint as acceleration_error_per_joint,
)
from posejax.metrics.pose_errors import mpjpe as mpjpe
from posejax.metrics.pose_errors import mpjpe_per_joint as mpjpe_per_joint
from posejax.metrics.pose_errors import n_mpjpe as n_mpjpe
from posejax.metrics.pose_errors import n_mpjpe_per_joint as n_mpjpe_per_joint
from posejax.metrics.pose_errors import p_mpjpe as p_mpjpe
from posejax.metrics.pose_errors import p_mpjpe_per_joint as p_mpjpe_per_joint
from posejax.metrics.pose_errors import velocity_error as velocity_error
from posejax.metrics.pose_errors import (
    velocity_error_per_joint as velocity_error_per_joint,
)
from posejax.metrics.pose_errors import weighted_mpjpe as weighted_mpjpe
from posejax.metrics.proportions import ProportionConsistency as ProportionConsistency
from posejax.metrics.proportions import proportion_consistency as proportion_consistency
from posejax.metrics.proportions import segment_ratios as segment_ratios
