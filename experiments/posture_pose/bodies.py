r"""How well the bodies and postures of each subject fit the priors of the labelled one.

  python -m experiments.posture_pose.bodies --data_dir data

Of every clip of the motion-capture experiment the first frame counts. The priors are
those that the row `all` is trained with.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.posture_pose.mocap import Setting, check_data, run_config
from posejax import priors, render
from posejax.priors.bone_proportion import RATIOS
from posejax.tasks import posture_pose_statistics as statistics
from posejax.typing import Config

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")


def first_poses(config: Config, data_dir: str, subject: str) -> np.ndarray:
    """Returns the pose at the start of each clip, (clips, 17, 3), metres, root at 0.

    Args:
      config: A config of the experiment.
      data_dir: Folder of the prepared data.
      subject: Whose clips.
    """
    branch = config.data.labelled.copy_and_resolve_references()
    branch.unlock()
    branch.subjects, branch.fraction = (subject,), 1.0
    sequences = statistics.open_branch(config, data_dir, branch)
    starts = np.asarray(sequences.offsets)[:: sequences.num_views]
    poses = np.array(sequences.poses_3d, np.float32)[starts]
    poses[:, 0] = 0.0
    return poses


def deviations(
    poses: np.ndarray,
    proportion: priors.BoneProportionPrior,
    mobility: priors.JointMobilityPrior,
) -> Mapping[str, float | str]:
    """Returns how far bodies lie from a prior of bodies, and both losses of them.

    Args:
      poses: (poses, 17, 3), metres.
      proportion: Prior of bone-length ratios.
      mobility: Prior of bone directions.
    """
    both = jax.jit(
        jax.vmap(
            lambda pose: (
                priors.bone_ratios(pose),
                priors.bone_proportion_loss(pose, proportion),
                priors.joint_mobility_loss(pose, mobility),
            )
        )
    )
    ratios, proportion_loss, mobility_loss = map(np.asarray, both(jnp.asarray(poses)))
    scores = (ratios - proportion.mean) / np.sqrt(proportion.variance)
    worst = int(np.abs(scores.mean(axis=0)).argmax())
    return {
        "clips": float(len(poses)),
        "mean |z| of ratios": float(np.abs(scores).mean()),
        "beyond 2 std [%]": float(100 * (np.abs(scores) > 2).mean()),
        "farthest ratio": " / ".join(RATIOS[worst]),
        "its mean z": float(scores.mean(axis=0)[worst]),
        "BPC": float(proportion_loss.mean()),
        "JMC": float(mobility_loss.mean()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row per subject."""
    parser = argparse.ArgumentParser(prog="python -m experiments.posture_pose.bodies")
    parser.add_argument("--data_dir", default="data", help="holds the prepared data")
    data_dir = parser.parse_args(arguments).data_dir
    try:
        check_data(pathlib.Path(data_dir))
    except (OSError, ValueError) as error:
        sys.exit(f"bodies: {error}")
    config = run_config("all", 0, Setting())
    labelled = statistics.open_branch(config, data_dir, config.data.labelled)
    poses = statistics.labelled_bodies(labelled)
    fitted = (
        statistics.fit_proportion(config, poses),
        statistics.fit_mobility(config, poses),
    )
    rows = {
        subject: deviations(first_poses(config, data_dir, subject), *fitted)
        for subject in SUBJECTS
    }
    print(render.figure_table(rows, corner="subject"))


if __name__ == "__main__":
    main()
