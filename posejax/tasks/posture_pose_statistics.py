"""What a run of posture_pose takes from its labelled poses: priors and baselines.

Nothing is read before training asks for it: a checkpoint is evaluated, and used,
without the data it was trained on.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from posejax import priors
from posejax.data.pose_sequences import PoseSequences, pose_sequences
from posejax.data.pose_source import read_pose_set
from posejax.data.pose_windows import chunk_entries, flip_poses, num_batches
from posejax.skeletons import SKELETONS
from posejax.tasks.posture_pose_metrics import LiftedPose
from posejax.tasks.posture_pose_terms import Priors
from posejax.tasks.posture_pose_windows import Sight
from posejax.typing import Batch, Config, PredictFn, Tree

RIDGE = 1e-3  # of the linear map, per frame: keypoints of a person are collinear
GROUPED = True  # left and right share one distribution of bone directions


@dataclasses.dataclass(frozen=True)
class RunStatistics:
    """Numbers and distributions of a training run.

    Attributes:
      steps_per_epoch: Batches of labelled windows.
      num_steps: Steps of the whole training.
      warmup_steps: Steps before unlabelled windows count.
      priors: Those that the terms need.
    """

    steps_per_epoch: int
    num_steps: int
    warmup_steps: int
    priors: Priors


def open_branch(config: Config, data_dir: str, branch: Any) -> PoseSequences:
    """Returns the sequences of one branch of the data: labelled, unlabelled or test.

    Args:
      config: The run's config.
      data_dir: Folder of the prepared data sets.
      branch: `subjects`, `input_2d`, and where there is one `fraction`.

    Raises:
      FileNotFoundError: the data set is not prepared.
      ValueError: an unknown subject, action or detector.
    """
    subjects = tuple(branch.subjects)
    poses = read_pose_set(
        data_dir, config.data.name, config=config.data.config, subjects=subjects
    )
    return pose_sequences(
        poses,
        subjects=subjects,
        actions=tuple(config.data.actions) or None,
        detector=branch.input_2d,
        subset=branch.get("fraction", 1.0),
        stride=config.data.downsample,
    )


def labelled_entries(config: Config, sequences: PoseSequences) -> np.ndarray:
    """Returns the labelled windows, see `chunk_entries`."""
    return chunk_entries(
        sequences.lengths,
        chunk_length=config.data.chunk_length,
        flip=config.data.flip,
    )


def make_statistics(
    config: Config, data_dir: str | None
) -> Callable[[], RunStatistics]:
    """Returns a function that reads the labelled poses when it is first called.

    Raises:
      ValueError: when called without a data folder.
    """

    @functools.cache
    def read() -> RunStatistics:
        if data_dir is None:
            raise ValueError(
                "data_dir is None; training takes the length of an epoch and the "
                "priors from the labelled poses: pass the folder of prepared data."
            )
        sequences = open_branch(config, data_dir, config.data.labelled)
        entries = labelled_entries(config, sequences)
        per_epoch = num_batches(len(entries), config.batch_size)
        with jax.ensure_compile_time_eval():  # the step may be being traced
            fitted = _read_priors(config, data_dir, sequences)
        return RunStatistics(
            steps_per_epoch=per_epoch,
            num_steps=config.num_steps or config.num_epochs * per_epoch,
            warmup_steps=config.warmup_epochs * per_epoch,
            priors=fitted,
        )

    return read


def labelled_bodies(sequences: PoseSequences) -> np.ndarray:
    """Returns the poses of the first view of each recording, roots at the origin.

    The views of a recording show the same bodies.

    Args:
      sequences: The labelled branch.

    Returns:
      `(poses, joints, 3)` in the axes of a camera, metres, float32.

    Raises:
      ValueError: the data has no 3-D poses.
    """
    if sequences.poses_3d is None:
        raise ValueError(
            "config.data.labelled.subjects names recordings without 3-D poses; priors "
            "are fitted to poses: name subjects that have them, or set "
            "config.prior.name."
        )
    first = [sequences.frames(s) for s in range(0, len(sequences), sequences.num_views)]
    poses = np.concatenate([sequences.poses_3d[frames] for frames in first])
    poses[:, 0] = 0.0
    return poses


def prior_paths(data_dir: str, name: str) -> tuple[str, str]:
    """Returns the files of a prior: bone-length ratios, and orientations of bones."""
    stem = os.path.join(data_dir, "priors", name)
    return f"{stem}_bone_ratio.npz", f"{stem}_joint_mobility.npz"


def fit_proportion(config: Config, poses: np.ndarray) -> priors.BoneProportionPrior:
    """Returns the prior of bone-length ratios that a run of this config fits.

    Args:
      config: The run's config.
      poses: `(poses, 17, 3)`, metres, for example `labelled_bodies`.

    Raises:
      ValueError: the poses give no density.
    """
    return priors.fit_bone_proportion(
        poses, seed=config.seed, length_std=config.prior.length_std
    )


def fit_mobility(config: Config, poses: np.ndarray) -> priors.JointMobilityPrior:
    """Returns the prior of bone directions that a run of this config fits.

    Args:
      config: The run's config.
      poses: `(poses, 17, 3)`, metres, for example `labelled_bodies`.

    Raises:
      ValueError: the poses give no density.
    """
    return priors.fit_joint_mobility(
        poses, grouped=GROUPED, centered=config.prior.centered
    )


def _read_priors(config: Config, data_dir: str, sequences: PoseSequences) -> Priors:
    """Reads the priors from files, or fits them to the labelled poses."""
    proportion = mobility = None
    name = config.prior.name
    ratio_path, mobility_path = prior_paths(data_dir, name)
    if config.weights.bone_proportion:
        proportion = (
            priors.load_bone_proportion(ratio_path)
            if name
            else fit_proportion(config, labelled_bodies(sequences))
        )
    if config.weights.joint_mobility:
        mobility = (
            priors.load_joint_mobility(mobility_path)
            if name
            else fit_mobility(config, labelled_bodies(sequences))
        )
    return Priors(proportion, mobility)


def baseline_statistics(config: Config, data_dir: str) -> Mapping[str, np.ndarray]:
    """Returns the mean labelled pose, and the best linear map from keypoints to poses.

    The map takes the keypoints of one frame, relative to the root and with a constant;
    it is fitted to the labelled frames and their mirror images by least squares.
    """
    sequences = open_branch(config, data_dir, config.data.labelled)
    arrays = sequences.poses_2d, sequences.poses_3d
    if arrays[1] is None:
        return {}
    poses = np.array(arrays[1], np.float64)
    poses[:, 0] = 0.0
    order, swap = sequences.layout.mirror(), SKELETONS[sequences.skeleton].mirror()
    keypoints = np.asarray(arrays[0], np.float64)
    keypoints = np.concatenate([keypoints, flip_poses(keypoints, order)])
    poses = np.concatenate([poses, flip_poses(poses, swap)])
    rows = _linear_rows(keypoints)
    square = rows.T @ rows + RIDGE * len(rows) * np.diag(
        [1.0] * (rows.shape[1] - 1) + [0]
    )
    linear = np.linalg.solve(square, rows.T @ poses.reshape(len(poses), -1))
    return {
        "mean_pose": poses.mean(axis=0).astype(np.float32),
        "linear": linear.astype(np.float32),
    }


def _linear_rows(keypoints: Any) -> Any:
    """Keypoints relative to joint 0, scaled to unit size, and a one."""
    xp = jnp if isinstance(keypoints, jax.Array) else np
    rooted = keypoints - keypoints[..., :1, :]
    size = xp.sqrt(xp.mean(rooted**2, axis=(-2, -1), keepdims=True))
    rooted = rooted / xp.where(size > 0, size, 1.0)
    flat = rooted.reshape(*rooted.shape[:-2], -1)
    return xp.concatenate([flat, xp.ones_like(flat[..., :1])], axis=-1)


def baselines(
    statistics: Mapping[str, np.ndarray],
    segments: Callable[[Batch], tuple[jax.Array, jax.Array, jax.Array, jax.Array]],
    sight: Sight,
) -> dict[str, PredictFn]:
    """Returns the predictors that the model has to beat.

    Args:
      statistics: What `baseline_statistics` found.
      segments: Inputs, true poses, roots and which frames exist, of a batch.
      sight: Where the output frames lie in the inputs.
    """
    if not statistics:
        return {}

    def predictor(pose_of: Callable[[jax.Array], jax.Array]) -> PredictFn:
        def predict(params: Tree, model_state: Tree, batch: Batch) -> LiftedPose:
            del params, model_state
            inputs, target, root, valid = segments(batch)
            frames = target.shape[1]
            shown = inputs[:, sight.before : sight.before + frames]
            nothing = jnp.zeros((*target.shape[:2], 1, 0), target.dtype)
            return LiftedPose(pose_of(shown), nothing, target, root, valid)

        return predict

    mean, linear = (jnp.asarray(statistics[n]) for n in ("mean_pose", "linear"))

    def mean_pose(shown: jax.Array) -> jax.Array:
        return jnp.broadcast_to(mean[None, None], (*shown.shape[:2], *mean.shape))

    def linear_map(shown: jax.Array) -> jax.Array:
        return (_linear_rows(shown) @ linear).reshape(*shown.shape[:2], *mean.shape)

    return {"mean pose": predictor(mean_pose), "linear map": predictor(linear_map)}
