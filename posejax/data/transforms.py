"""Functions on one example, numpy and OpenCV: decode, resize, mirror, joints.

Images are `(height, width, 3)` uint8 RGB. Points are `(x, y)`. A crop that was stored
with side `crop_size` and is used with side S has its coordinates multiplied by
S / `crop_size`; the templates scale in the same way.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from posejax.data.crops import apply_matrix
from posejax.skeletons import H36M_32, TEMPLATE_15, remap

_TEMPLATE_JOINTS = remap(H36M_32, TEMPLATE_15)
# The decoders fill up a file that was cut short with grey and say nothing; its last
# bytes tell. Some writers append a few bytes of their own, hence the margin.
_END_MARKS = {b"\x89PNG": b"IEND", b"\xff\xd8": b"\xff\xd9"}
_END_MARGIN = 64


def decode_image(encoded: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes a PNG or JPEG file to RGB.

    Args:
      encoded: The bytes of the file.

    Returns:
      The picture; grey ones are repeated in all three channels.

    Raises:
      ValueError: If the bytes are not a picture or end too early.
    """
    for head, end in _END_MARKS.items():
        if encoded.startswith(head) and end not in encoded[-_END_MARGIN:]:
            raise ValueError(
                f"holds a picture of {len(encoded)} bytes that is cut short"
            )
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"holds {len(encoded)} bytes that are no PNG or JPEG picture")
    return np.asarray(image, np.uint8)


def resize_image(
    image: UInt8[np.ndarray, "height width 3"], *, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Brings a square crop to side `size`: area means downwards, bilinear upwards.

    Args:
      image: The stored crop.
      size: Side that is wanted, pixels.

    Returns:
      The crop; `image` itself if it has that side already.

    Raises:
      ValueError: If the image is not square or `size` is not positive.
    """
    height, width = image.shape[:2]
    if height != width or size < 1:
        raise ValueError(
            f"image is {width} x {height} and size is {size}; expected a square image "
            "and a positive size."
        )
    if height == size:
        return image
    method = cv2.INTER_AREA if size < height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size, size), interpolation=method), np.uint8)


def mirror_image(
    image: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Exchanges left and right of the picture.

    Args:
      image: A picture.

    Returns:
      Its mirror image, a view of the same memory.
    """
    return image[:, ::-1]


def scale_matrix(
    matrix: Float[np.ndarray, "2 3"], *, factor: float
) -> Float[np.ndarray, "2 3"]:
    """Crop matrix of the grid of the resized crop.

    Args:
      matrix: Source pixels to pixels of the stored crop.
      factor: Side that is used over side that is stored.

    Returns:
      Source pixels to pixels of the crop that is used, float64.
    """
    return np.asarray(matrix, np.float64) * factor


def template_joints(
    pose_2d: Float[np.ndarray, "32 2"],
    pose_valid: Bool[np.ndarray, " 32"],
    matrix: Float[np.ndarray, "2 3"],
) -> tuple[Float[np.ndarray, "15 2"], Bool[np.ndarray, " 15"]]:
    """The joints that the body template predicts, out of the 32 of the data.

    Args:
      pose_2d: Joints of skeleton `h36m_32`, source pixels.
      pose_valid: Which of them are known.
      matrix: Source pixels to crop pixels.

    Returns:
      Joints of skeleton `template_15` in crop pixels (float64; zero where unknown), and
      which of them are known.

    Reference:
      Yoo and Russakovsky 2023, evaluation: "R" joints are those on the right of the
      picture for a person who faces the camera.
    """
    valid = pose_valid[_TEMPLATE_JOINTS]
    points = np.asarray(pose_2d[_TEMPLATE_JOINTS], np.float64)
    joints = apply_matrix(np.asarray(matrix, np.float64), points)
    return np.where(valid[:, None], joints, 0.0), valid
