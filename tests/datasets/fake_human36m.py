"""A tiny Human3.6M in exactly the layouts that the builder reads."""

import json
import pathlib

import av
import cdflib
import cv2
import h5py
import numpy as np

WIDTH, HEIGHT = 360, 340
CAMERA = "54138969"
TRAIN = ("S1", "S5", "S6", "S7", "S8")
TEST = ("S9", "S11")
# Kept by both filters; by "all" only; by none.
NAMES = (f"Walking.{CAMERA}", f"Walking 1.{CAMERA}", f"Eating.{CAMERA}")


def box_of(frame: int) -> np.ndarray:
    """The person walks to the right and changes the crop window every other frame."""
    return np.array([[20 + 40 * frame, 180], [100 + 40 * frame, 320]])


def pose_of(frame: int) -> np.ndarray:
    """Joints on a line inside the box, float32 as in the files."""
    low, high = box_of(frame)
    return np.linspace(low, high, 32).astype(np.float32)


def frame_of(subject: str, frame: int) -> np.ndarray:
    """RGB: a grey room, the person in red, the subject's number in blue."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    image[..., 2] = 20 * int(subject[1:])
    (x0, y0), (x1, y1) = box_of(frame)
    image[y0 : y1 + 1, x0 : x1 + 1] = (220, 30, 30)
    return image


def write_video(path: pathlib.Path, frames) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=50, options={"qp": "4"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def write_masks(path: pathlib.Path, boxes, *, shape=(HEIGHT, WIDTH)) -> None:
    """MATLAB 7.3: a 1 x T cell of references to arrays that are stored transposed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        references = []
        for i, box in enumerate(boxes):
            mask = np.zeros(shape, np.uint8)
            (x0, y0), (x1, y1) = box
            mask[y0 : y1 + 1, x0 : x1 + 1] = 1
            stored = file.create_dataset(f"#refs#/{i}", data=mask.T, compression="gzip")
            references.append(stored.ref)
        masks = file.create_dataset("Masks", (len(boxes), 1), dtype=h5py.ref_dtype)
        for i, reference in enumerate(references):
            masks[i, 0] = reference
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def write_poses(path: pathlib.Path, poses: np.ndarray, *, variable="Pose") -> None:
    """One record of shape (frames, 2 x joints), as the owners' files hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    flat = poses.reshape(1, len(poses), -1)
    file = cdflib.cdfwrite.CDF(str(path))
    spec = {
        "Variable": variable,
        "Data_Type": 44,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(flat.shape[1:]),
    }
    file.write_var(spec, var_data=flat)
    file.close()


def video_path(root: pathlib.Path, subject: str, name: str = NAMES[0]) -> pathlib.Path:
    return root / subject / "Videos" / f"{name}.mp4"


def mask_path(root: pathlib.Path, subject: str, name: str = NAMES[0]) -> pathlib.Path:
    return root / subject / "MySegmentsMat" / "ground_truth_bb" / f"{name}.mat"


def pose_path(root: pathlib.Path, subject: str, name: str = NAMES[0]) -> pathlib.Path:
    return root / subject / "MyPoseFeatures" / "D2_Positions" / f"{name}.cdf"


def write_take(root, subject, name=NAMES[0], *, count=6) -> None:
    write_video(
        video_path(root, subject, name), [frame_of(subject, i) for i in range(count)]
    )
    write_masks(mask_path(root, subject, name), [box_of(i) for i in range(count)])
    poses = np.stack([pose_of(i) for i in range(count)])
    write_poses(pose_path(root, subject, name), poses)


def write_raw(root: pathlib.Path, *, names=NAMES, count=6) -> pathlib.Path:
    for subject in (*TRAIN, *TEST):
        for name in names:
            write_take(root, subject, name, count=count)
        # The owners' archives hold these too; they have no masks.
        write_video(video_path(root, subject, f"_ALL.{CAMERA}"), [frame_of("S1", 0)])
    return root


def write_preprocessed(root: pathlib.Path, *, count=3) -> pathlib.Path:
    """What the reference's scripts leave, with paths of another machine in the JSON."""
    to_original, mapping = {}, {}
    window = f"0.0,1.0,1.0,2.0_{CAMERA}"
    for number, subject in enumerate((*TRAIN, *TEST)):
        folder = root / "preprocessed" / "training" / subject / window
        folder.mkdir(parents=True)
        (folder.parent / f"1.0,1.0,2.0,2.0_{CAMERA}").mkdir()
        for i in range(count):
            picture = np.full((256, 256, 3), (10 * i, 20 * number, 200), np.uint8)
            # Written backwards: the sorted names are not the order of the frames.
            name = f"frame_AB3DEFGH{9 - i}J.png"
            cv2.imwrite(str(folder / name), picture[..., ::-1])
            crop = f"/elsewhere/preprocessed/training/{subject}/{window}/{name}"
            frame = (
                f"/elsewhere/h36m/training/{subject}/frames/{NAMES[0]}/frame{i:04d}.png"
            )
            mapping[frame] = crop
            if subject in TEST:
                to_original[crop] = {
                    "bbox": encoded(box_of(i), "int64"),
                    "pose": encoded(pose_of(i).ravel(), "float32"),
                    "path": frame,
                }
    (root / "preprocessed_to_orig.json").write_text(json.dumps(to_original))
    (root / "mapping_preprocessed.json").write_text(json.dumps(mapping))
    return root


def encoded(array: np.ndarray, dtype: str) -> dict:
    """An array as the reference's JSON writer stores it."""
    return {
        "__ndarray__": array.tolist(),
        "dtype": dtype,
        "shape": list(array.shape),
        "Corder": True,
    }
