"""Affine maps, picture warps and the body template: pure functions of arrays."""

from posejax.geometry.affine import compose_affine as compose_affine
from posejax.geometry.affine import identity_affine as identity_affine
from posejax.geometry.affine import invert_affine as invert_affine
from posejax.geometry.affine import transform_points as transform_points
from posejax.geometry.alignment import best_rotation as best_rotation
from posejax.geometry.alignment import least_squares_scale as least_squares_scale
from posejax.geometry.alignment import rigid_alignment as rigid_alignment
from posejax.geometry.alignment import rigid_transform as rigid_transform
from posejax.geometry.alignment import similarity_alignment as similarity_alignment
from posejax.geometry.alignment import similarity_distances as similarity_distances
from posejax.geometry.bones import BONE_PARENTS as BONE_PARENTS
from posejax.geometry.bones import BONES as BONES
from posejax.geometry.bones import FREE_BONE_LENGTH_ORDER as FREE_BONE_LENGTH_ORDER
from posejax.geometry.bones import FREE_BONES as FREE_BONES
from posejax.geometry.bones import VIDEOPOSE_PARENTS as VIDEOPOSE_PARENTS
from posejax.geometry.bones import FreeBone as FreeBone
from posejax.geometry.bones import bone_lengths as bone_lengths
from posejax.geometry.bones import free_bone_frames as free_bone_frames
from posejax.geometry.bones import free_bone_vectors as free_bone_vectors
from posejax.geometry.cameras import camera_to_world as camera_to_world
from posejax.geometry.cameras import image_coordinates as image_coordinates
from posejax.geometry.cameras import (
    normalize_screen_coordinates as normalize_screen_coordinates,
)
from posejax.geometry.cameras import project_points as project_points
from posejax.geometry.cameras import project_points_linear as project_points_linear
from posejax.geometry.cameras import rotate_by_quaternion as rotate_by_quaternion
from posejax.geometry.cameras import world_to_camera as world_to_camera
from posejax.geometry.flow import pad_to_multiple as pad_to_multiple
from posejax.geometry.flow import pixel_grid as pixel_grid
from posejax.geometry.flow import remove_padding as remove_padding
from posejax.geometry.flow import sample_map as sample_map
from posejax.geometry.flow import visible_mask as visible_mask
from posejax.geometry.flow import warp_by_flow as warp_by_flow
from posejax.geometry.flow_target import LSP_FLOW_BONES as LSP_FLOW_BONES
from posejax.geometry.flow_target import POSETRACK_FLOW_BONES as POSETRACK_FLOW_BONES
from posejax.geometry.flow_target import flow_target as flow_target
from posejax.geometry.flow_target import skeleton_points as skeleton_points
from posejax.geometry.lsp_bones import LSP_BONES as LSP_BONES
from posejax.geometry.lsp_bones import lsp_bone_lengths as lsp_bone_lengths
from posejax.geometry.template import draw_template as draw_template
from posejax.geometry.template import expand_parameters as expand_parameters
from posejax.geometry.template import gaussian_blob as gaussian_blob
from posejax.geometry.template import joints_from_anchors as joints_from_anchors
from posejax.geometry.template import template_anchors as template_anchors
from posejax.geometry.template import transform_anchors as transform_anchors
from posejax.geometry.template import warp_template as warp_template
from posejax.geometry.template import (
    warp_template_closed_form as warp_template_closed_form,
)
from posejax.geometry.warping import warp_images as warp_images
from posejax.geometry.warping import warp_images_twice as warp_images_twice
from posejax.geometry.weak_perspective import CROP_SIZE_PX as CROP_SIZE_PX
from posejax.geometry.weak_perspective import (
    project_weak_perspective as project_weak_perspective,
)
