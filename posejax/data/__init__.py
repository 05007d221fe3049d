"""Prepared data sets to batches: numpy, OpenCV, grain and TFDS; no JAX, no TensorFlow.

`open_source` gives random access to the records that the builders in `datasets` wrote;
`template_pairs_data` turns them into training and evaluation batches whose order is a
function of seed and step; the other functions are the single steps on the way.
"""

from posejax.data.background import background_boxes as background_boxes
from posejax.data.crops import apply_matrix as apply_matrix
from posejax.data.crops import box_diagonal as box_diagonal
from posejax.data.crops import crop_image as crop_image
from posejax.data.crops import crop_matrix as crop_matrix
from posejax.data.crops import invert_matrix as invert_matrix
from posejax.data.crops import raster_cells as raster_cells
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
