"""The verb `predict` of flow_pose: the joint optimisation of one clip from files.

The input is a video or a folder of pictures; `config.files` names the estimates and the
detections of its frames. No truth is needed, and no work directory: a clip starts from
the weights that the config names.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from posejax.procedures.alternate import Weights, joint_optimise, make_programs
from posejax.procedures.clip_results import write_clip
from posejax.procedures.evaluate import write_json
from posejax.procedures.run import (
    DATA_DIR,
    Run,
    apply_sample,
    open_run,
    without_sample,
)
from posejax.tasks import flow_pose
from posejax.tasks.flow_pose_bodies import fit_body_priors
from posejax.tasks.flow_pose_data import files_clip
from posejax.typing import Config

SUMMARY = "clip.json"  # written last, so a clip that has it is finished


def predict_clip(run: Run) -> Mapping[str, Any]:
    """Refines flow and poses of `run.input`; writes what a run writes of its clips.

    Raises:
      FileNotFoundError: a file is missing, the weights or the poses of a prior too.
      ValueError: a file that is not what it should be or is not named, or a folder to
        write to that holds the results of another input.
    """
    if run.boxes is not None:
        raise ValueError(
            "--boxes is given, but this system refines the estimates of "
            "config.files; leave it out."
        )
    if run.input is None:
        raise ValueError(
            "--input is missing; name the video, or the folder of pictures, that the "
            "estimates in config.files are of."
        )
    config, folder, data_dir = _settings(run)
    output = _output_folder(run, folder)
    clip = files_clip(config, run.input)
    has_priors = bool(flow_pose.asked_priors(config))
    priors = fit_body_priors(config, data_dir) if has_priors else None
    weights = Weights(*flow_pose.initial_weights(config))
    programs = make_programs(config, priors)

    def watch(line: str) -> None:
        logging.info("%s: %s", clip.name, line)

    height, width = clip.size
    watch(f"{clip.num_frames} frames of {width} x {height}")
    result = joint_optimise(clip, config, programs, weights, watch=watch)
    output.mkdir(parents=True, exist_ok=True)
    (output / SUMMARY).unlink(missing_ok=True)
    write_clip(output, clip, result, programs.kind, config.output)
    about = {
        "path": str(pathlib.Path(run.input).resolve()),
        "poses": config.files.poses,
        "detections": config.files.detections,
        "weights": config.flow.weights,
        "kind": config.pose.kind,
        "frames": clip.num_frames,
        "fps": clip.fps,
        "pose_steps": len(result.energies),
    }
    write_json(output / SUMMARY, about)
    logging.info("%d frames: flow and poses in %s", clip.num_frames, output)
    return {"frames": clip.num_frames, "output": str(output)}


def _settings(run: Run) -> tuple[Config, pathlib.Path, str]:
    """Returns the config, where results go by default, and the data directory.

    With `--config` nothing is asked of a work directory, and none is made.
    """
    if run.config is None:
        opened = open_run(run, needs_data=False)
        return opened.config, opened.workdir, opened.data_dir
    config = without_sample(run.config)
    if run.data == "sample":
        config = apply_sample(run.config, run.overrides)
    folder = pathlib.Path(run.workdir or f"runs/{run.name}-files").absolute()
    return config, folder, run.data_dir or DATA_DIR


def _output_folder(run: Run, folder: pathlib.Path) -> pathlib.Path:
    """Returns where the results go: `--output`, else a folder named like the input."""
    if run.output is not None:
        return pathlib.Path(run.output)
    source = pathlib.Path(str(run.input)).resolve()
    output = folder / "predictions" / source.name
    try:
        before = json.loads((output / SUMMARY).read_text()).get("path")
    except (OSError, ValueError, AttributeError):
        return output  # nothing there, or nothing that could be lost
    if before not in (None, str(source)):
        raise ValueError(
            f"{str(output)!r} holds the results for {before!r}; name another folder "
            "with --output."
        )
    return output
