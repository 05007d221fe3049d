"""The verb `predict` of systems that lift 2-D joints over time to 3-D poses.

The input is a file of joints, see `posejax.data.keypoint_inputs`, or a recording of the
prepared data set. Every person or video gets `joints.npz`, `joints.npy`, `joints.json`
and an animation; recordings get one npz each, and the one that `config.animation` names
an animation.
"""

import dataclasses
import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from posejax import training
from posejax.data import pose_cameras
from posejax.data.keypoint_inputs import (
    KeypointInput,
    KeypointSequence,
    read_keypoint_input,
)
from posejax.data.keypoint_layouts import LAYOUT_OF_SKELETON, KeypointLayout
from posejax.data.pose_sequences import EXACT, network_keypoints, network_layout
from posejax.data.pose_windows import window_indices
from posejax.data.source import prepared_directory
from posejax.procedures.animated_poses import (
    Animation,
    animated_sequences,
    asked_animation,
    prepared_input,
)
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
from posejax.procedures.run import DRAWN, Run, open_run
from posejax.skeletons import H36M_17
from posejax.tasks.posture_pose_lifter import lift, make_lifter
from posejax.tasks.posture_pose_windows import pose_skeleton
from posejax.typing import Config, Tree

ANIMATIONS = (".mp4", ".gif")
# What the detectors of the published files find; others are looked up in the prepared
# data set.
_DETECTED = {
    "hr": "h36m_16",
    "cpn_ft_h36m_dbb": "h36m",
    "detectron_ft_h36m": "h36m",
    "detectron_pt_coco": "coco",
    "sh_pt_mpii": "mpii",
    "sh_ft_h36m": "mpii",
}


def predict_poses(run: Run) -> Mapping[str, Any]:
    """Lifts the joints of `run.input`; writes poses and animations.

    Without an input, the recording of the prepared data set that `config.animation`
    names.

    Raises:
      FileNotFoundError: there is no input, no checkpoint, or no video of that name.
      ValueError: the input is unreadable or of other joints than the model was trained
        on; an animation is asked for that cannot be made; or the folder to write to
        holds the predictions for another input.
    """
    source = _read(run)
    opened = open_run(as_started(run), needs_data=False)
    config = opened.config
    animation = asked_animation((run.config or config).get(DRAWN))
    if source is None:
        source = prepared_input(config, opened.data_dir, animation.recording)
    require_layout(source, trained_layout(config, opened.data_dir), config)
    shown = animated_sequences(source, animation, config, opened.data_dir)
    output, name = _places(run, opened.workdir, source, shown)
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
        progress = training.progress(
            source.sequences, total=len(source.sequences), unit="sequence"
        )
        written = write_recordings(output, progress, lifted, about)
        for one in shown:
            _write_animation(output / name, one, lifted(one), animation)
    else:
        written = _write_videos(output, name, shown, lifted, about, animation)
    frames = sum(row["frames"] for row in written)
    logging.info("%d frames, %d sequence(s): poses in %s", frames, len(written), output)
    return {"frames": frames, "output": str(output)}


def as_started(run: Run) -> Run:
    """Completes a call that names `--config` by what its work directory began with.

    Data and overrides of the training need not be repeated to say what is drawn. What
    is given wins, and `open_run` refuses it where it differs from the run.
    """
    if run.config is None or run.workdir is None:
        return run
    try:
        started = json.loads((pathlib.Path(run.workdir) / "run.json").read_text())
        if started["name"] != run.name:
            return run
        overrides = started["overrides"] | run.overrides
        config = ConfigDict(run.config.to_dict()).lock()
        config.update_from_flattened_dict(overrides)
        return dataclasses.replace(
            run,
            config=config,
            overrides=overrides,
            data=started["data"] if run.data == "auto" else run.data,
            data_dir=run.data_dir or started["data_dir"],
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return run  # of another version, or damaged: compared as it was given


def _read(run: Run) -> KeypointInput | None:
    if run.boxes is not None:
        raise ValueError(
            "--boxes is given, but this system reads joints, not pictures; leave it "
            "out."
        )
    if run.input is None:
        return None
    try:
        return read_keypoint_input(run.input)
    except ValueError as error:
        if "allow_pickle=True" not in str(error):
            raise
        # Nothing on the command line allows a pickle; converting says it in words.
        raise ValueError(
            f"--input {run.input!r} was saved as Python objects (a pickle); make plain "
            f"arrays of it first: python -m datasets.convert {shlex.quote(run.input)} "
            "plain.npz --allow_pickle"
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
    if name == EXACT:
        return LAYOUT_OF_SKELETON[pose_skeleton(config).name]
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
      ValueError: they are others; names both layouts. Or the truth beside them is of
        other joints than the model's.
    """
    found = source.layout
    if found.name != trained:
        raise ValueError(
            f"--input {source.path} has the {found.num_joints} joints of layout "
            f"{found.name!r}, but the model was trained on {trained!r} "
            f"({config.data.labelled.input_2d}); detect those joints, or use a model "
            f"for {found.name!r}."
        )
    expected = network_layout(found).num_joints
    if expected != config.model.in_joints:
        raise ValueError(
            f"--input {source.path} has {expected} joints (layout {found.name!r}), but "
            f"config.model.in_joints is {config.model.in_joints}; use another model."
        )
    lifted = pose_skeleton(config)
    has_truth = any(one.ground_truth is not None for one in source.sequences)
    if has_truth and lifted is not H36M_17:
        raise ValueError(
            f"--input {source.path} holds ground_truth of the joints of "
            f"{H36M_17.name!r}, but the model lifts to those of {lifted.name!r}; leave "
            "ground_truth out."
        )


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
    mirror = network_layout(layout).mirror()

    @jax.jit
    def lifted(params: Tree, model_state: Tree, inputs: jax.Array):
        flip = config.evaluation.flip
        return lift(lifter, params, model_state, inputs, mirror=mirror, flip=flip)

    def lift_sequence(sequence: KeypointSequence) -> LiftedSequence:
        inputs = pose_cameras.normalize_screen_coordinates(
            sequence.keypoints, resolution=sequence.camera.resolution
        )
        inputs = network_keypoints(inputs, layout)
        count = len(inputs)
        starts = np.arange(0, count, segment)
        size, lengths = segment + sight.field - 1, np.full_like(starts, count)
        seen = window_indices(
            starts, lengths, 0 * starts, size=size, before=sight.before
        )
        rows = min(len(starts), config.evaluation.batch_size)
        poses, roots = [], []
        for first in range(0, len(starts), rows):
            # One shape for all calls: the last row stands in for those that lack.
            asked = np.minimum(first + np.arange(rows), len(starts) - 1)
            found = lifted(params, model_state, inputs[seen[asked]])
            poses.append(np.asarray(found.pose, np.float32))
            roots.append(np.asarray(found.auxiliary, np.float32))
        pose = np.concatenate(poses)
        pose = pose.reshape(-1, *pose.shape[-2:])[:count]
        root = np.concatenate(roots)
        if not np.isfinite(pose).all():
            raise ValueError(
                f"the poses of {sequence.name!r} are not finite: the checkpoint is "
                "damaged or its training diverged; use another one."
            )
        place = root.reshape(-1, 3)[:count] if root.shape[-1] == 3 else None
        return LiftedSequence(pose - pose[:, :1], place, lifter.skeleton)

    return lift_sequence


def _places(
    run: Run,
    workdir: pathlib.Path,
    source: KeypointInput,
    shown: Sequence[KeypointSequence],
) -> tuple[pathlib.Path, str]:
    """Returns the folder to write to and the name of the animation."""
    asked = pathlib.Path(run.output or "")
    if asked.suffix.lower() not in ANIMATIONS:
        named = dataclasses.replace(run, input=str(source.path))
        views = source.kind == "recordings" and shown
        stem = file_name(shown[0].name) if views else "animation"
        return output_folder(named, workdir), f"{stem}{ANIMATIONS[0]}"
    if not shown:
        raise ValueError(
            f"--output {run.output!r} names an animation, but the recordings of a data "
            "set are lifted without; name a folder, or choose one of them with "
            "--config.animation.recording."
        )
    return asked.parent, asked.name


def _folders(sequences: Sequence[KeypointSequence]) -> list[str]:
    """Returns a folder per sequence, each another."""
    names: list[str] = []
    for sequence in sequences:
        plain = file_name(sequence.name)
        names.append(plain if plain not in names else f"{plain}_{len(names)}")
    return names


def _write_animation(
    path: pathlib.Path,
    sequence: KeypointSequence,
    lifted: LiftedSequence,
    asked: Animation,
) -> None:
    write_animation(
        path, sequence, lifted, options=asked.options, has_truth=asked.has_truth
    )


def _write_videos(
    output: pathlib.Path,
    animation: str,
    sequences: Sequence[KeypointSequence],
    lifted: LiftSequence,
    about: Mapping[str, Any],
    asked: Animation,
) -> list[dict[str, Any]]:
    folders = _folders(sequences) if len(sequences) > 1 else ["."]
    rows = []
    for sequence, folder in zip(sequences, folders, strict=True):
        one = lifted(sequence)
        target = output / folder
        target.mkdir(parents=True, exist_ok=True)
        write_joints(target, sequence, one, about)
        _write_animation(target / animation, sequence, one, asked)
        frames = len(one.joints_3d)
        rows.append({"name": sequence.name, "folder": folder, "frames": frames})
    if len(sequences) > 1:
        write_json(output / "joints.json", {**about, "sequences": rows})
    return rows
