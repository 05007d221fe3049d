"""The verb `predict` of systems that lift 2-D joints over time to 3-D poses.

The input is a file of joints, see `posejax.data.keypoint_inputs`. Every person or video
gets `joints.npz`, `joints.npy`, `joints.json` and an animation; the recordings of a
data set get one npz each and no animation.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from posejax import training
from posejax.data import pose_cameras
from posejax.data.keypoint_inputs import (
    KeypointInput,
    KeypointSequence,
    read_keypoint_input,
)
from posejax.data.pose_files import LAYOUTS, KeypointLayout
from posejax.data.pose_sequences import insert_nose
from posejax.data.source import prepared_directory
from posejax.procedures.evaluate import restore, write_json
from posejax.procedures.lifted_poses import (
    LiftedSequence,
    LiftSequence,
    file_name,
    write_animation,
    write_joints,
    write_recordings,
)
from posejax.procedures.predict_images import output_folder
from posejax.procedures.run import Run, open_run
from posejax.tasks.posture_pose_lifter import lift, make_lifter
from posejax.typing import Config, Tree

ANIMATIONS = (".mp4", ".gif")
# What the detectors of the published files find; others are looked up in the prepared
# data set.
_DETECTED = {
    "gt": "h36m",
    "hr": "h36m_16",
    "cpn_ft_h36m_dbb": "h36m",
    "detectron_ft_h36m": "h36m",
    "detectron_pt_coco": "coco",
    "sh_pt_mpii": "mpii",
    "sh_ft_h36m": "mpii",
}


def predict_poses(run: Run) -> Mapping[str, Any]:
    """Lifts the joints of `run.input`; writes poses, and animations of own videos.

    Raises:
      FileNotFoundError: there is no input, or no checkpoint.
      ValueError: the input is unreadable or of other joints than the model was trained
        on; or the folder to write to holds the predictions for another input.
    """
    source = _read(run)
    opened = open_run(run, needs_data=False)
    config = opened.config
    require_layout(source, trained_layout(config, opened.data_dir), config)
    output, animation = _places(run, opened.workdir, source)
    task = opened.system.make_task(config, opened.data_dir)
    params, model_state, step = restore(run, opened, task)
    lifted = make_lift_sequence(config, params, model_state, layout=source.layout)
    about = {
        "input": source.path.name,
        "path": str(source.path.resolve()),
        "checkpoint": run.checkpoint,
        "step": step,
        "flip": config.evaluation.flip,
    }
    if source.kind == "recordings":
        shown = training.progress(
            source.sequences, total=len(source.sequences), unit="sequence"
        )
        written = write_recordings(output, shown, lifted, about)
    else:
        written = _write_videos(output, animation, source.sequences, lifted, about)
    frames = sum(row["frames"] for row in written)
    logging.info("%d frames, %d sequence(s): poses in %s", frames, len(written), output)
    return {"frames": frames, "output": str(output)}


def _read(run: Run) -> KeypointInput:
    if run.input is None:
        raise FileNotFoundError(
            "--input is not given; name a file of 2-D joints: npz or COCO's JSON."
        )
    if run.boxes is not None:
        raise ValueError(
            "--boxes is given, but this system reads joints, not pictures; leave it "
            "out."
        )
    try:
        return read_keypoint_input(run.input)
    except ValueError as error:
        if "allow_pickle=True" not in str(error):
            raise
        # Nothing on the command line allows a pickle; converting says it in words.
        raise ValueError(
            f"--input {run.input!r} was saved as Python objects (a pickle); make plain "
            'arrays of it first: python -c "from posejax import data; '
            f"data.convert_pose_file('{run.input}', 'plain.npz', allow_pickle=True)\""
        ) from None


def trained_layout(config: Config, data_dir: str) -> str:
    """Returns the name of the keypoint layout that a model was trained on.

    Args:
      config: The config of its run.
      data_dir: Folder of prepared data sets; asked for other detectors than the
        published ones.

    Raises:
      ValueError: the detector is unknown here and the data set is not prepared.
    """
    name = config.data.labelled.input_2d
    if name in _DETECTED:
        return _DETECTED[name]
    builder = config.data.config
    found = prepared_directory(data_dir, config.data.name, config=builder)
    rows: list[Any] = []
    if found is not None and (found / "metadata.json").is_file():
        rows = json.loads((found / "metadata.json").read_text()).get("detectors", [])
    layouts = {row["name"]: row["layout"] for row in rows}
    if name not in layouts:
        raise ValueError(
            f"config.data.labelled.input_2d is {name!r}; which joints these are, only "
            f"the prepared data set {config.data.name!r} says, and {data_dir!r} does "
            "not hold it; give --data_dir."
        )
    return layouts[name]


def require_layout(source: KeypointInput, trained: str, config: Config) -> None:
    """Checks that keypoints are those that a model was trained on.

    Args:
      source: The keypoints.
      trained: Name of the layout that the model was trained on.
      config: The config of its run.

    Raises:
      ValueError: they are others; names both layouts.
    """
    found = source.layout
    if found.name != trained:
        raise ValueError(
            f"--input {source.path} has the {found.num_joints} joints of layout "
            f"{found.name!r}, but the model was trained on {trained!r} "
            f"({config.data.labelled.input_2d}); detect those joints, or use a model "
            f"for {found.name!r}."
        )
    expected = model_layout(found).num_joints
    if expected != config.model.in_joints:
        raise ValueError(
            f"--input {source.path} has {expected} joints (layout {found.name!r}), but "
            f"config.model.in_joints is {config.model.in_joints}; use another model."
        )


def model_layout(layout: KeypointLayout) -> KeypointLayout:
    """Returns the layout that a network sees: a missing nose is put in."""
    return LAYOUTS["h36m"] if layout.name == "h36m_16" else layout


def make_lift_sequence(
    config: Config, params: Tree, model_state: Tree, *, layout: KeypointLayout
) -> LiftSequence:
    """Returns the function that lifts a whole sequence, in segments of one size.

    Args:
      config: The config of the run.
      params: Parameters of its networks.
      model_state: Their running statistics.
      layout: That of the keypoints.

    Returns:
      `(sequence) -> LiftedSequence`. The first and the last frame are repeated where a
      window reaches beyond the sequence, so that one frame is enough.
    """
    lifter = make_lifter(config)
    sight, segment = lifter.sight, config.evaluation.segment
    mirror = model_layout(layout).mirror()

    @jax.jit
    def lifted(params: Tree, model_state: Tree, inputs: jax.Array):
        flip = config.evaluation.flip
        return lift(lifter, params, model_state, inputs, mirror=mirror, flip=flip)

    def lift_sequence(sequence: KeypointSequence) -> LiftedSequence:
        inputs = pose_cameras.normalize_screen_coordinates(
            sequence.keypoints, resolution=sequence.camera.resolution
        )
        if layout.name == "h36m_16":
            inputs = insert_nose(inputs)
        count = len(inputs)
        starts = np.arange(0, count, segment)
        frames = np.arange(segment + sight.field - 1) - sight.before
        seen = np.clip(starts[:, None] + frames, 0, count - 1)
        rows = min(len(starts), config.evaluation.batch_size)
        poses, roots = [], []
        for first in range(0, len(starts), rows):
            # One shape for all calls: the last row stands in for those that lack.
            asked = np.minimum(first + np.arange(rows), len(starts) - 1)
            found = lifted(params, model_state, inputs[seen[asked]])
            poses.append(np.asarray(found.pose, np.float32))
            roots.append(np.asarray(found.auxiliary, np.float32))
        pose = np.concatenate(poses).reshape(-1, 17, 3)[:count]
        root = np.concatenate(roots)
        if not np.isfinite(pose).all():
            raise ValueError(
                f"the poses of {sequence.name!r} are not finite: the checkpoint is "
                "damaged or its training diverged; use another one."
            )
        place = root.reshape(-1, 3)[:count] if root.shape[-1] == 3 else None
        return LiftedSequence(pose - pose[:, :1], place)

    return lift_sequence


def _places(
    run: Run, workdir: pathlib.Path, source: KeypointInput
) -> tuple[pathlib.Path, str]:
    """Returns the folder to write to and the name of the animation."""
    asked = pathlib.Path(run.output or "")
    if asked.suffix.lower() not in ANIMATIONS:
        return output_folder(run, workdir), f"animation{ANIMATIONS[0]}"
    if source.kind == "recordings":
        raise ValueError(
            f"--output {run.output!r} names an animation, but the recordings of a data "
            "set are lifted without; name a folder."
        )
    return asked.parent, asked.name


def _folders(sequences: Sequence[KeypointSequence]) -> list[str]:
    """Returns a folder per sequence, each another."""
    names: list[str] = []
    for sequence in sequences:
        plain = file_name(sequence.name)
        names.append(plain if plain not in names else f"{plain}_{len(names)}")
    return names


def _write_videos(
    output: pathlib.Path,
    animation: str,
    sequences: Sequence[KeypointSequence],
    lifted: LiftSequence,
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    folders = _folders(sequences) if len(sequences) > 1 else ["."]
    rows = []
    for sequence, folder in zip(sequences, folders, strict=True):
        one = lifted(sequence)
        target = output / folder
        target.mkdir(parents=True, exist_ok=True)
        write_joints(target, sequence, one, about)
        write_animation(target / animation, sequence, one)
        frames = len(one.joints_3d)
        rows.append({"name": sequence.name, "folder": folder, "frames": frames})
    if len(sequences) > 1:
        write_json(output / "joints.json", {**about, "sequences": rows})
    return rows
