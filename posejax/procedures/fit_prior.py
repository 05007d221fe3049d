"""The verb `fit_prior`: priors of bodies and postures, from a run's labelled poses.

Two files in `<data_dir>/priors`, each with a description inside, and a plot of each.
They are what a run fits for itself while `config.prior.name` is empty.
"""

import contextlib
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from posejax import priors, render
from posejax.data.source import prepared_directory
from posejax.geometry.bones import free_bone_vectors
from posejax.priors.bone_proportion import (
    RATIOS,
    ratio_bones,
    varied_lengths,
    with_mirror_images,
)
from posejax.priors.joint_mobility import RANK1, rank1_members
from posejax.procedures.run import DATA_DIR, Run, choose_data, ensure_data, reopen
from posejax.tasks import posture_pose_statistics as statistics
from posejax.typing import Config

# The data set whose subjects need no further name; the drawn people have an S1 too.
PUBLISHED_DATA = "human36m_poses"
SHOWN_POSES = 2000  # in the plot of directions, and their mirror images


class Fitted(NamedTuple):
    """The two priors of a subset."""

    proportion: priors.BoneProportionPrior
    mobility: priors.JointMobilityPrior


def fit_prior(run: Run) -> Mapping[str, Any]:
    """Fits both priors to the labelled poses, writes them and draws them.

    Files are named after the subset (`S1`, `S1.01` for one hundredth of it; a data set
    other than Human3.6M comes first), or `config.prior.name` if it is given. Plots go
    beside them, or to `run.output`.

    Raises:
      FileNotFoundError: the data set is not prepared, or there is no config.
      ValueError: the poses give no density; or a file of that name has other contents
        than a prior of the same settings.
    """
    config, data_dir = _open(run)
    name = config.prior.name or subset_name(config)
    settings = fit_settings(config, data_dir)
    paths = [pathlib.Path(path) for path in statistics.prior_paths(data_dir, name)]
    for path, own in zip(paths, settings, strict=True):
        _require_same(path, own)
    sequences = statistics.open_branch(config, data_dir, config.data.labelled)
    poses = statistics.labelled_bodies(sequences)
    fitted = Fitted(
        statistics.fit_proportion(config, poses), statistics.fit_mobility(config, poses)
    )
    if jax.process_index() != 0:
        return {"name": name, "written": []}
    description = {
        "source": f"{config.data.name}, labelled branch, one view of each recording",
        "num_poses": len(poses),
        "augmentation": "mirror images",
    }
    for path, prior, own in zip(paths, fitted, settings, strict=True):
        with render.replaced_whole(path) as draft:
            said = {**description, "settings": own}
            priors.save_prior(draft, prior, description=said)
    written = [*paths, *_draw(run, config, name, poses, fitted, paths)]
    logging.info(
        "priors of %d poses and their mirror images: %s",
        len(poses),
        ", ".join(map(str, written)),
    )
    logging.info(
        "a run uses them with --config.prior.name=%s --data_dir %s", name, data_dir
    )
    return {"name": name, "written": [str(path) for path in written]}


def subset_name(config: Config) -> str:
    """Returns the name of the labelled subset: subjects, and the share of their frames.

    >>> from ml_collections import ConfigDict
    >>> labelled = {"subjects": ("S1",), "fraction": 0.01}
    >>> data = {"name": "human36m_poses", "labelled": labelled}
    >>> subset_name(ConfigDict({"data": data}))
    'S1.01'
    """
    labelled = config.data.labelled
    parts = [] if config.data.name == PUBLISHED_DATA else [config.data.name]
    name = "-".join([*parts, *labelled.subjects]).replace("/", "_")
    share = "" if labelled.fraction == 1 else f"{labelled.fraction:g}"
    return name + share.removeprefix("0")


def fit_settings(
    config: Config, data_dir: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what the numbers of either prior follow from, in values of JSON.

    Args:
      config: See `configs/bases/posture_pose.py`.
      data_dir: Folder of the prepared data sets.
    """
    labelled, data = config.data.labelled, config.data
    directory = prepared_directory(data_dir, data.name, config=data.config)
    subset = {
        "data_set": f"{data.name}/{data.config}",
        "data_version": directory and directory.name,
        "subjects": list(labelled.subjects),
        "actions": list(data.actions),
        "fraction": labelled.fraction,
        "downsample": data.downsample,
    }
    widths = {"seed": config.seed, "length_std": config.prior.length_std}
    moments = {"grouped": statistics.GROUPED, "centered": config.prior.centered}
    return subset | widths, subset | moments


def ratio_samples(poses: np.ndarray, *, seed: int, length_std: float) -> np.ndarray:
    """Returns the `(2 * poses, 15)` ratios whose moments `fit_bone_proportion` takes.

    Args:
      poses: `(poses, 17, 3)`, metres.
      seed: As for the fit.
      length_std: As for the fit.
    """
    lengths = varied_lengths(poses, seed=seed, length_std=length_std)
    numerators, denominators = ratio_bones()
    return lengths[:, numerators] / lengths[:, denominators]


def directions(poses: np.ndarray, *, grouped: bool) -> np.ndarray:
    """Returns `(poses, 16, 3)` unit vectors of bones, in the order of `RANK1`.

    Args:
      poses: `(poses, 17, 3)`, metres.
      grouped: Whether left limbs are seen in reflected frames.
    """
    vectors = free_bone_vectors(jnp.asarray(poses, jnp.float32), grouped=grouped)
    return np.asarray(vectors)[:, rank1_members()[:, 0]]


def _open(run: Run) -> tuple[Config, str]:
    """Returns the final config and the data folder; claims no work directory."""
    if run.config is None:
        opened = reopen(run)
        return opened.config, opened.data_dir
    data_dir = run.data_dir or DATA_DIR
    config, data_used, warning = choose_data(run, run.config, data_dir)
    if warning:
        logging.warning("%s", warning)
    ensure_data(run, config, data_dir, data_used)
    return config, data_dir


def _require_same(path: pathlib.Path, settings: Mapping[str, Any]) -> None:
    """Refuses to replace a file that is no prior of the same settings."""
    if not path.exists():
        return
    before = None
    if zipfile.is_zipfile(path):
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError):
            before = priors.load_description(path).get("settings")
    if before is None:
        reason = "does not say how it was fitted"
    elif before != settings:
        differing = [
            f"{key} {before.get(key)!r} there, {settings.get(key)!r} here"
            for key in {**settings, **before}
            if before.get(key) != settings.get(key)
        ]
        reason = f"holds a prior of other settings ({'; '.join(differing)})"
    else:
        return
    raise ValueError(
        f"{str(path)!r} exists and {reason}; choose another name with "
        "--config.prior.name=NAME, or move the file away."
    )


def _draw(
    run: Run,
    config: Config,
    name: str,
    poses: np.ndarray,
    fitted: Fitted,
    paths: Sequence[pathlib.Path],
) -> list[pathlib.Path]:
    """Draws both priors, and the samples that they were fitted to."""
    proportion, mobility = fitted
    of = f"{name}: {len(poses)} poses of {config.data.name} and their mirror images"
    step = max(1, len(poses) // SHOWN_POSES)
    figures = (
        render.ratio_figure(
            proportion.mean,
            proportion.variance,
            ratio_samples(poses, seed=config.seed, length_std=config.prior.length_std),
            names=[" / ".join(pair) for pair in RATIOS],
            title=f"Bone-length ratios of prior {of}",
        ),
        render.direction_figure(
            mobility.rank1_mean,
            mobility.rank1_covariance,
            mobility.rank1_inv_covariance,
            directions(with_mirror_images(poses[::step]), grouped=mobility.grouped),
            names=RANK1,
            title=f"Likely bone directions of prior {of}",
        ),
    )
    written = []
    for path, figure in zip(paths, figures, strict=True):
        folder = pathlib.Path(run.output or path.parent)
        written.append(folder / f"{path.stem}.png")
        render.write_figure(written[-1], figure)
    return written
