"""Loss functions: pure, one value per example, named by what they measure."""

from posejax.losses.bones import (
    bone_length_difference_over_batch as bone_length_difference_over_batch,
)
from posejax.losses.bones import bone_symmetry_loss as bone_symmetry_loss
from posejax.losses.bones import root_to_origin_loss as root_to_origin_loss
from posejax.losses.clip_terms import detection_term as detection_term
from posejax.losses.clip_terms import flow_term as flow_term
from posejax.losses.clip_terms import frame_term as frame_term
from posejax.losses.clip_terms import step_term as step_term
from posejax.losses.flow import sequence_loss as sequence_loss
from posejax.losses.flow import smooth_flow_loss as smooth_flow_loss
from posejax.losses.flow import smooth_flow_loss_per_pixel as smooth_flow_loss_per_pixel
from posejax.losses.images import perceptual_loss as perceptual_loss
from posejax.losses.images import pixel_loss as pixel_loss
from posejax.losses.joints import joint_distance_loss as joint_distance_loss
from posejax.losses.joints import n_mpjpe_loss as n_mpjpe_loss
from posejax.losses.joints import trajectory_loss as trajectory_loss
from posejax.losses.joints import velocity_loss as velocity_loss
from posejax.losses.multiview import pose_consistency_loss as pose_consistency_loss
from posejax.losses.multiview import (
    posture_consistency_loss as posture_consistency_loss,
)
from posejax.losses.multiview import rigid_consistency_loss as rigid_consistency_loss
from posejax.losses.pose_energy import PointClip as PointClip
from posejax.losses.pose_energy import PoseClip as PoseClip
from posejax.losses.pose_energy import PoseVariables as PoseVariables
from posejax.losses.pose_energy import point_energy as point_energy
from posejax.losses.pose_energy import pose_energy as pose_energy
from posejax.losses.posture import posture_loss as posture_loss
from posejax.losses.reprojection import orthographic_pair as orthographic_pair
from posejax.losses.reprojection import (
    orthographic_reprojection_loss as orthographic_reprojection_loss,
)
from posejax.losses.reprojection import orthographic_scale as orthographic_scale
from posejax.losses.reprojection import reprojection_loss as reprojection_loss
from posejax.losses.reprojection import scale_loss as scale_loss
from posejax.losses.template import anchor_loss as anchor_loss
from posejax.losses.template import boundary_loss as boundary_loss
from posejax.losses.terms import weighted_sum as weighted_sum
