"""A drawn figure that walks before a textured wall, with its exact box."""

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 160, 120


def wall(seed=0, *, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 200, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def draw(image, x, *, top=25, tall=70, swing=0.0):
    """Draws a figure about the column x; returns its box [[x0, y0], [x1, y1]]."""
    before = image.copy()
    hip, foot = top + tall // 2, top + tall
    for side in (-1, 1):
        step = round(side * (4 + 6 * swing))
        cv2.line(image, (x, hip), (x + step, foot), (20, 20, 60), 7)
        cv2.line(image, (x, top + 16), (x + side * 12, hip), (210, 30, 30), 5)
    cv2.line(image, (x, top + 16), (x, hip), (230, 40, 40), 13)
    cv2.circle(image, (x, top + 7), 7, (250, 220, 60), -1)
    rows, columns = np.nonzero(np.any(image != before, axis=-1))
    return np.array(
        [[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float32
    )


def walk(count=40, *, start=30, speed=2.5, seed=0, noise=2.0):
    """Returns frames of a walk and the box in each."""
    rng = np.random.default_rng(seed + 1)
    frames, boxes = [], []
    for t in range(count):
        image = wall(seed)
        x = round(start + speed * t)
        boxes.append(draw(image, x, swing=float(np.sin(t / 2))))
        noisy = image + rng.normal(0, noise, image.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return np.stack(frames), np.stack(boxes)


def write_video(path, frames, *, fps=25):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = frames[0].shape[1], frames[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def overlap(boxes, others):
    """Intersection over union of boxes (..., 2, 2)."""
    low = np.maximum(boxes[..., 0, :], others[..., 0, :])
    high = np.minimum(boxes[..., 1, :], others[..., 1, :])
    common = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(b[..., 1, :] - b[..., 0, :], axis=-1) for b in (boxes, others)]
    return common / (areas[0] + areas[1] - common)
