"""posture_pose: 3-D poses from 2-D keypoints over time, semi-supervised.

A temporal convolution network lifts windows of 2-D keypoints to root-relative 3-D
poses; a second one of the same shape gives the root's place (or a scale). Labelled
windows are compared with the truth; unlabelled ones with their own pictures, with what
is known of bodies, and with other views of the same moment.

Parameters: `{"pose": ..., "auxiliary": ...}`, the second only where there is one. Model
state: `{"batch_stats": ...}` alike. Batches name windows, whose frames stay on the
device (`posture_pose_windows`): `labelled` and `unlabelled`, each with `sequence`,
`start`, `flip`, `valid`; in evaluation `sequence` and `start` of segments.

Reference: Pavllo et al., CVPR 2019 (arXiv 1811.11742); Amadi and Agam, PosturePose,
Sensors 2023, 23(24), 9749.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from posejax import losses
from posejax.checks import require_at_least, require_choice
from posejax.losses.reprojection import ALIGNMENTS
from posejax.optimizers import bn_momentum_schedule, epoch_decay, torch_amsgrad
from posejax.tasks import posture_pose_metrics, posture_pose_statistics
from posejax.tasks.posture_pose_lifter import FLIPS, lift, make_lifter
from posejax.tasks.posture_pose_metrics import LiftedPose
from posejax.tasks.posture_pose_terms import (
    Labelled,
    Predicted,
    Settings,
    Terms,
    Unlabelled,
    ramped_factors,
    supervised_terms,
    swapped_factors,
    unlabelled_terms,
)
from posejax.tasks.posture_pose_windows import (
    Sight,
    Windows,
    frame_indices,
    gather_windows,
    pose_skeleton,
    require_terms_of,
)
from posejax.typing import Batch, Config, LossFn, LossOutput, Task, Tree

UNLABELLED_TERMS = (
    "reprojection", "bone_length", "root", "symmetry", "bone_proportion",
    "joint_mobility", "view_pose", "view_posture",
)  # fmt: skip
SCHEDULES = ("none", "ramp", "swap")
SAME_WEIGHT = {"posture_anchor": "posture"}  # the term, and whose weight it has


def make_settings(config: Config) -> Settings:
    """Returns which terms there are and how they are taken.

    Raises:
      ValueError: for a term that cannot be had in this configuration.
    """
    terms = tuple(name for name, weight in config.weights.items() if weight)
    require_terms_of(pose_skeleton(config), config)
    kinds = ("none", "perspective", "linear", *ALIGNMENTS)
    require_choice("config.projection", config.projection, kinds)
    if config.auxiliary != "trajectory":
        needy = {"view_pose"} & set(terms)
        if config.projection in ("perspective", "linear"):
            needy |= {"reprojection"} & set(terms)
        if needy:
            raise ValueError(
                f"config.weights.{sorted(needy)[0]} is not 0 and config.auxiliary is "
                f"{config.auxiliary!r}; expected 'trajectory', which places the root."
            )
    if config.auxiliary == "none":
        terms = tuple(name for name in terms if name != "auxiliary")
    if _schedule_kind(config) == "swap":
        terms = (*terms, "posture_anchor")
    views = {"view_pose", "view_posture"} & set(terms)
    if views and config.views.group_size < 2:
        raise ValueError(
            f"config.weights.{sorted(views)[0]} is not 0 and config.views.group_size "
            f"is {config.views.group_size}; expected 2 or more views to compare."
        )
    return Settings(
        terms=terms,
        auxiliary=config.auxiliary,
        projection=config.projection,
        views=config.views.group_size,
        view_pairing=config.views.pairing,
        view_trajectory=config.views.trajectory,
        view_posture=config.views.posture,
        norm_order=config.views.norm_order,
        posture_kind=config.posture_kind,
        ranks=config.prior.ranks,
        ignore_nose=config.ignore_nose,
    )


FactorsFn = Callable[[jax.Array, int], Terms]


def make_factors(config: Config) -> FactorsFn:
    """Returns what multiplies labelled weights, as a function of the step.

    Its arguments are the steps done and the steps of an epoch; a weight that it does
    not name stays as it is.

    Raises:
      ValueError: for a schedule that cannot be had in this configuration.
    """
    name, kind = "config.posture_schedule", _schedule_kind(config)
    if kind == "none":
        return lambda step, steps_per_epoch: {}
    schedule = config.posture_schedule
    for term in ("pose", "posture"):
        if not config.weights[term]:
            raise ValueError(
                f"config.weights.{term} is 0 and {name}.kind is {kind!r}, which "
                "multiplies it by a factor of the step; expected another number, for "
                "example 1.0."
            )
    if kind == "swap":
        if schedule.factor != 1:
            raise ValueError(
                f"{name}.factor is {schedule.factor!r} and {name}.kind is 'swap'; "
                "expected 1: weights that are exchanged do not fade as well."
            )
        require_at_least(f"{name}.swap_epochs", schedule.swap_epochs, 1)
        return lambda step, steps_per_epoch: swapped_factors(
            step, every=schedule.swap_epochs * steps_per_epoch
        )
    if not 0 < schedule.factor < 1:
        raise ValueError(
            f"{name}.factor is {schedule.factor!r}; expected 0 < factor < 1 for a "
            "ramp, for example 0.99."
        )
    require_at_least(f"{name}.every", schedule.every, 0)
    return lambda step, steps_per_epoch: ramped_factors(
        step,
        every=schedule.every or steps_per_epoch,
        factor=schedule.factor,
        pose_follows=schedule.pose_follows,
    )


def _schedule_kind(config: Config) -> str:
    # A run from before there were schedules had none.
    kind = config.get("posture_schedule", {"kind": "none"})["kind"]
    return require_choice("config.posture_schedule.kind", kind, SCHEDULES)


def labelled_part(windows: Windows, sight: Sight) -> Labelled:
    """Returns what the terms need to know of labelled windows."""
    pose = windows.poses_3d
    inputs = windows.inputs[:, sight.before : sight.before + sight.frames]
    return Labelled(
        pose=pose.at[..., 0, :].set(0.0),
        root=pose[..., 0, :],
        input_2d=inputs,
        valid=windows.valid,
    )


def unlabelled_part(windows: Windows, sight: Sight, target: str) -> Unlabelled:
    """Returns what the terms need to know of unlabelled windows.

    Args:
      windows: The windows.
      sight: What a window sees.
      target: 'exact' or 'input': what projected joints are compared with.
    """
    inputs = windows.inputs[:, sight.before : sight.before + sight.frames]
    return Unlabelled(
        target_2d=inputs if target == "input" else windows.targets_2d,
        intrinsics=windows.intrinsics,
        extrinsics=windows.extrinsics,
        flip=windows.flip,
        valid=windows.valid,
    )


def make_loss(config: Config, data_dir: str | None) -> LossFn:
    """Returns the training loss of a configuration.

    Until the warm-up is over, unlabelled windows enter neither the loss nor the batch
    statistics.
    """
    lifter, settings = make_lifter(config), make_settings(config)
    factors_at = make_factors(config)
    statistics = posture_pose_statistics.make_statistics(config, data_dir)
    wanted = set(settings.terms) & set(UNLABELLED_TERMS)
    target = require_choice(
        "config.data.unlabelled.target_2d",
        config.data.unlabelled.target_2d,
        ("exact", "input"),
    )

    def loss(
        params: Tree,
        model_state: Tree,
        batch: Batch,
        *,
        key: jax.Array,
        step: jax.Array,
    ) -> LossOutput:
        windows = gather_windows(
            batch["labelled_poses"], batch["labelled"], lifter.sight
        )
        known = labelled_part(windows, lifter.sight)
        inputs, rows = windows.inputs, [known.valid.astype(jnp.float32)]
        active, others, seen = jnp.float32(0.0), None, 0
        if wanted:
            free = gather_windows(
                batch["unlabelled_poses"], batch["unlabelled"], lifter.sight
            )
            others = unlabelled_part(free, lifter.sight, target)
            active = (step >= statistics().warmup_steps).astype(jnp.float32)
            rows.append(active * others.valid.astype(jnp.float32))
            inputs, seen = jnp.concatenate([inputs, free.inputs]), len(free.inputs)
        found, moved = lifter.apply(
            params,
            model_state["batch_stats"],
            inputs,
            train=True,
            key=key if config.model.dropout else None,
            momentum=_momentum(config, statistics, step),
            weights=jnp.concatenate(rows),
        )
        border = len(inputs) - seen
        first = Predicted(*(x[:border] for x in found))
        terms = supervised_terms(first, known, settings)
        if others is not None:
            free_terms = unlabelled_terms(
                Predicted(*(x[border:] for x in found)),
                others,
                first,
                known,
                settings,
                fitted=statistics().priors,
            )
            terms |= {name: active * term for name, term in free_terms.items()}
        total = _total(config, terms, factors_at(step, statistics().steps_per_epoch))
        return LossOutput(total, model_state | {"batch_stats": moved}, terms)

    return loss


def _total(config: Config, terms: Terms, factors: Terms) -> jax.Array:
    scaled = {name: factor * terms[name] for name, factor in factors.items()}
    weights = {name: config.weights[SAME_WEIGHT.get(name, name)] for name in terms}
    return losses.weighted_sum(terms | scaled, weights)


Statistics = Callable[[], posture_pose_statistics.RunStatistics]


def _momentum(config: Config, statistics: Statistics, step: jax.Array) -> jax.Array:
    every = config.batch_norm.update_every or statistics().steps_per_epoch
    return bn_momentum_schedule(
        step,
        total_steps=statistics().num_steps,
        update_every=every,
        start=config.batch_norm.start,
        end=config.batch_norm.end,
    )


def make_task(config: Config, data_dir: str | None = None) -> Task:
    """Returns the task of one of the system's configs.

    Args:
      config: See `configs/bases/posture_pose.py`.
      data_dir: Folder of the prepared data; needed by training alone, which takes the
        length of an epoch and the priors from the labelled poses.

    Raises:
      ValueError: for a field with an unknown value.
    """
    lifter = make_lifter(config)
    of_run = posture_pose_statistics.make_statistics(config, data_dir)
    flip = require_choice("config.evaluation.flip", config.evaluation.flip, FLIPS)

    def init(key: jax.Array, batch: Batch) -> tuple[Tree, Tree]:
        del batch
        shape = (2, lifter.sight.size, config.model.in_joints, 2)
        example = jax.ShapeDtypeStruct(shape, jnp.float32)
        params, stats = {}, {}
        keys = jax.random.split(key, len(lifter.networks))
        for one, (name, network) in zip(keys, lifter.networks.items(), strict=True):
            params[name], stats[name] = network.init(one, example)
        return params, {"batch_stats": stats}

    def predict(params: Tree, model_state: Tree, batch: Batch) -> LiftedPose:
        inputs, target, root, valid = segments(config, lifter.sight, batch)
        mirror = batch["test_poses"]["mirror_2d"]
        found = lift(lifter, params, model_state, inputs, mirror=mirror, flip=flip)
        return LiftedPose(found.pose, found.auxiliary, target, root, valid)

    def rate(count: Any) -> jax.Array:
        every = config.optimizer.decay_every or of_run().steps_per_epoch
        schedule = epoch_decay(
            config.optimizer.learning_rate,
            decay=config.optimizer.decay,
            steps_per_epoch=every,
        )
        return jnp.asarray(schedule(count))

    return Task(
        init=init,
        loss=make_loss(config, data_dir),
        predict=predict,
        metrics=posture_pose_metrics.make_metrics(
            ignore_nose=config.ignore_nose, skeleton=lifter.skeleton
        ),
        optimizer=torch_amsgrad(
            rate,
            b1=config.optimizer.b1,
            b2=config.optimizer.b2,
            eps=config.optimizer.eps,
        ),
        summarize=functools.partial(
            posture_pose_metrics.summarize, skeleton=lifter.skeleton
        ),
        selection=("p1", "min"),
        baselines=lambda statistics: posture_pose_statistics.baselines(
            statistics,
            lambda batch: segments(config, lifter.sight, batch),
            lifter.sight,
        ),
    )


def variables(config: Config) -> tuple[Tree, Tree]:
    """Returns the shapes of `(params, model_state)` that a checkpoint must hold.

    Args:
      config: See `configs/bases/posture_pose.py`.
    """
    return jax.eval_shape(make_task(config).init, jax.random.key(0), {})


def segments(
    config: Config, sight: Sight, batch: Batch
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns inputs, true poses, true roots and which frames exist, of segments.

    Each has one frame before the segment, so that velocities are known of all frames.
    """
    kept = batch["test_poses"]
    sequence, start = batch["sequence"], batch["start"] - 1
    frames = 1 + config.evaluation.segment
    place = (start, kept["lengths"][sequence], kept["offsets"][sequence])
    size = frames + sight.field - 1
    seen = frame_indices(*place, size=size, before=sight.before)
    asked = frame_indices(*place, size=frames)
    poses = kept["poses_3d"][asked]
    numbers = start[:, None] + jnp.arange(frames, dtype=start.dtype)[None]
    length = jnp.broadcast_to(place[1][:, None], numbers.shape)
    valid = (numbers >= 0) & (numbers < length)
    target = poses.at[..., 0, :].set(0.0)
    return kept["poses_2d"][seen], target, poses[..., :1, :], valid
