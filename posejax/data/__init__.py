"""Prepared data sets to batches: numpy, OpenCV, grain and TFDS; no JAX, no TensorFlow.

`open_source` gives random access to the records that the builders in `datasets` wrote;
`template_pairs_data` turns them into training and evaluation batches whose order is a
function of seed and step; the other functions are the single steps on the way.
"""

from posejax.data.background import background_boxes as background_boxes
from posejax.data.coco_keypoints import interpolate_missing as interpolate_missing
from posejax.data.coco_keypoints import read_coco_keypoints as read_coco_keypoints
from posejax.data.crops import apply_matrix as apply_matrix
from posejax.data.crops import box_diagonal as box_diagonal
from posejax.data.crops import crop_image as crop_image
from posejax.data.crops import crop_matrix as crop_matrix
from posejax.data.crops import invert_matrix as invert_matrix
from posejax.data.crops import raster_cells as raster_cells
from posejax.data.h36m_cameras import h36m_camera as h36m_camera
from posejax.data.h36m_cameras import h36m_cameras as h36m_cameras
from posejax.data.humaneva_cameras import humaneva_cameras as humaneva_cameras
from posejax.data.keypoint_inputs import KeypointInput as KeypointInput
from posejax.data.keypoint_inputs import KeypointSequence as KeypointSequence
from posejax.data.keypoint_inputs import read_keypoint_input as read_keypoint_input
from posejax.data.object_arrays import read_arrays as read_arrays
from posejax.data.pairs import dataset_pairs as dataset_pairs
from posejax.data.pairs import pair_indices as pair_indices
from posejax.data.people import Boxes as Boxes
from posejax.data.people import boxes_from_joints as boxes_from_joints
from posejax.data.people import fixed_box as fixed_box
from posejax.data.people import read_boxes as read_boxes
from posejax.data.pipeline import PairsData as PairsData
from posejax.data.pipeline import Reading as Reading
from posejax.data.pipeline import evaluation_batches as evaluation_batches
from posejax.data.pipeline import template_pairs_data as template_pairs_data
from posejax.data.pipeline import train_batches as train_batches
from posejax.data.pose_cameras import PoseCamera as PoseCamera
from posejax.data.pose_cameras import calibrated_camera as calibrated_camera
from posejax.data.pose_cameras import projected_pixels as projected_pixels
from posejax.data.pose_files import KeypointLayout as KeypointLayout
from posejax.data.pose_files import Keypoints as Keypoints
from posejax.data.pose_files import convert_pose_file as convert_pose_file
from posejax.data.pose_files import read_keypoints as read_keypoints
from posejax.data.pose_files import read_poses_3d as read_poses_3d
from posejax.data.pose_files import write_keypoints as write_keypoints
from posejax.data.pose_files import write_poses_3d as write_poses_3d
from posejax.data.pose_sequences import PoseSequences as PoseSequences
from posejax.data.pose_sequences import insert_nose as insert_nose
from posejax.data.pose_sequences import subset_frames as subset_frames
from posejax.data.pose_source import read_pose_set as read_pose_set
from posejax.data.pose_windows import chunk_entries as chunk_entries
from posejax.data.pose_windows import entry_batches as entry_batches
from posejax.data.pose_windows import epoch_order as epoch_order
from posejax.data.pose_windows import flip_intrinsics as flip_intrinsics
from posejax.data.pose_windows import flip_poses as flip_poses
from posejax.data.pose_windows import group_batches as group_batches
from posejax.data.pose_windows import num_batches as num_batches
from posejax.data.pose_windows import view_groups as view_groups
from posejax.data.pose_windows import window_indices as window_indices
from posejax.data.recordings import PoseSet as PoseSet
from posejax.data.recordings import Recording as Recording
from posejax.data.recordings import action_family as action_family
from posejax.data.recordings import custom_pose_set as custom_pose_set
from posejax.data.recordings import h36m_pose_set as h36m_pose_set
from posejax.data.recordings import humaneva_pose_set as humaneva_pose_set
from posejax.data.source import DataError as DataError
from posejax.data.source import Folder as Folder
from posejax.data.source import Source as Source
from posejax.data.source import is_prepared as is_prepared
from posejax.data.source import open_source as open_source
from posejax.data.transforms import decode_image as decode_image
from posejax.data.transforms import mirror_image as mirror_image
from posejax.data.transforms import resize_image as resize_image
from posejax.data.transforms import scale_matrix as scale_matrix
from posejax.data.transforms import template_joints as template_joints
from posejax.data.video import Video as Video
from posejax.data.video import VideoError as VideoError
from posejax.data.video import open_video as open_video
from posejax.data.video import read_frames as read_frames
from posejax.data.video import read_image as read_image
