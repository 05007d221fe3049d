"""Flow and poses of a clip, improved by turns: Arko et al. 2022 (arXiv 2210.15121).

A cycle of flow fine-tunes RAFT on the clip: from each pair of frames it asks for its
own flow, but on the skeleton for the skeleton's motion. A cycle of poses minimises an
energy of all poses and cameras, with the flow held fixed. The order is flow, poses,
flow. Every clip starts from the same weights; clips do not know of each other.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from posejax import optimizers, training
from posejax.data.clips import Clip
from posejax.data.flow_boxes import flow_boxes
from posejax.tasks import flow_pose
from posejax.tasks.flow_pose_bodies import BodyPriors
from posejax.tasks.flow_pose_kinds import Estimates, Kind, points_of, pose_kind
from posejax.typing import Batch, Config, Task, Tree

Watch = Callable[[str], None]
BOX_STEP = 128  # px: sides of the boxes in which flow is kept; clips share programs


class Weights(NamedTuple):
    """Weights of the flow network."""

    params: Tree
    model_state: Tree


@dataclasses.dataclass(frozen=True)
class Programs:
    """What is compiled once for clips of one size, and used for all of them.

    Attributes:
      task: The fine-tuning.
      step: Its compiled step.
      flow: `(params, model_state, image_1, image_2) -> flow`, as it is reported.
      trained_flow: The same as the fine-tuning sees it, `-> (flow, model_state)`.
      target: `(flow, joints, next_joints, joint_valid) -> target`.
      minimise: `(variables, data) -> MinimiseResult`.
      kind: What is refined of a person.
    """

    task: Task
    step: training.TrainStep
    flow: Callable[..., jax.Array]
    trained_flow: Callable[..., tuple[jax.Array, Tree]]
    target: Callable[..., jax.Array]
    minimise: Callable[..., training.MinimiseResult]
    kind: Kind


class ClipResult(NamedTuple):
    """What the joint optimisation made of a clip.

    Attributes:
      flows: Flow from each frame to the next, `(pairs, height, width, 2)` pixels: by
        the given weights, after the first and, if there was one, the second cycle.
      target: What the first cycle asked for in the pair in the middle of the clip.
      original: Estimates by name, see `flow_pose_kinds.Kind`.
      optimised: The same after the minimisation.
      flow_losses: Per cycle the loss of each step.
      energies: The energy before each update of the poses.
      terms: Each of its terms.
      weights: The weights after the last cycle.
    """

    flows: tuple[np.ndarray, ...]
    target: np.ndarray
    original: Estimates
    optimised: Estimates
    flow_losses: tuple[np.ndarray, ...]
    energies: np.ndarray
    terms: dict[str, np.ndarray]
    weights: Weights


def make_programs(
    config: Config, priors: BodyPriors | None = None, *, mesh: Mesh | None = None
) -> Programs:
    """Returns the programs of a config; each is compiled at its first call for a size.

    Args:
      config: See `configs/bases/flow_pose.py`.
      priors: Priors of bodies, where a weight of the energy asks for them.
      mesh: The one device that they run on; None is the first.

    Raises:
      FileNotFoundError: the initial weights are not there.
      ValueError: a value that is not legal.
    """
    task = flow_pose.make_task(config)
    pose, kind = config.pose, pose_kind(config)
    target = functools.partial(
        flow_pose.skeleton_target,
        bones=kind.bones,
        num_between=config.flow.points,
        radius=config.flow.radius,
        keeps_beyond=kind.keeps_beyond,
    )

    def skeleton_target(
        flow: jax.Array, joints: jax.Array, later: jax.Array, valid: jax.Array
    ) -> jax.Array:
        return target(flow, joints, later, joint_valid=valid)

    return Programs(
        task=task,
        step=training.make_train_step(task, mesh=mesh),
        flow=jax.jit(flow_pose.make_flow(config)),
        trained_flow=jax.jit(flow_pose.make_trained_flow(config)),
        target=jax.jit(skeleton_target),
        minimise=training.make_minimise(
            flow_pose.make_energy(config, priors),
            optimizers.adam(pose.learning_rate),
            num_steps=pose.num_steps,
            stop=training.PrintedStop(pose.stop_decimals, pose.stop_repeats),
        ),
        kind=kind,
    )


def joint_optimise(
    clip: Clip,
    config: Config,
    programs: Programs,
    weights: Weights,
    *,
    watch: Watch = lambda line: None,
) -> ClipResult:
    """Refines the flow and the poses of a clip.

    Args:
      clip: The clip.
      config: See `configs/bases/flow_pose.py`.
      programs: Of the same config.
      weights: Where the flow network starts.
      watch: Is told what is being done.

    Raises:
      ValueError: If the person is outside the frames all the time.
      NonFiniteError: If the energy of the poses is not finite.
    """
    kind = programs.kind
    require_joints(clip, kind)
    original = kind.estimates(clip, kind.start(clip))
    first = clip_flow(clip, programs, weights)
    joints = original["joints2d"]
    watch("flow, first cycle")
    tuned, losses, target = fine_tune(clip, config, programs, weights, first, joints)
    flows, flow_losses = [first, clip_flow(clip, programs, tuned)], [losses]
    watch("poses")
    found = refine_poses(clip, config, programs, flows[-1])
    optimised = kind.estimates(clip, found.variables)
    if config.flow.cycles == 2:
        watch("flow, second cycle")
        joints = optimised["joints2d"]
        tuned, losses, _ = fine_tune(clip, config, programs, tuned, flows[-1], joints)
        flows.append(clip_flow(clip, programs, tuned))
        flow_losses.append(losses)
    count = int(found.num_steps)
    return ClipResult(
        flows=tuple(flows),
        target=target,
        original=original,
        optimised=optimised,
        flow_losses=tuple(flow_losses),
        energies=np.asarray(found.losses)[:count],
        terms={name: np.asarray(term)[:count] for name, term in found.terms.items()},
        weights=jax.device_get(tuned),
    )


def clip_flow(clip: Clip, programs: Programs, weights: Weights) -> np.ndarray:
    """Returns the flow from each frame of a clip to the next, pixels.

    Args:
      clip: The clip.
      programs: What is compiled.
      weights: Of the flow network.
    """
    frames, weights = clip.images, _placed(weights)
    return np.stack(
        [
            np.asarray(programs.flow(*weights, frames[t][None], frames[t + 1][None])[0])
            for t in range(clip.num_frames - 1)
        ]
    )


def _placed(weights: Weights) -> Weights:
    """Weights as every other call has them: a program is compiled for each kind."""
    return jax.device_put(jax.device_get(weights))


def trained_clip_flow(
    clip: Clip, programs: Programs, weights: Weights
) -> tuple[np.ndarray, Weights]:
    """Returns the flow as the fine-tuning sees it, and the weights after that.

    With batch norm of single frames (`config.flow.bn_mode` 'train'), each pair moves
    the running statistics, as in the published code.

    Args:
      clip: The clip.
      programs: What is compiled.
      weights: Of the flow network.
    """
    params, model_state = _placed(weights)
    flows = []
    for t in range(clip.num_frames - 1):
        frames = clip.images[t][None], clip.images[t + 1][None]
        flow, model_state = programs.trained_flow(params, model_state, *frames)
        flows.append(np.asarray(flow[0]))
    return np.stack(flows), Weights(params, model_state)


def fine_tune(
    clip: Clip,
    config: Config,
    programs: Programs,
    weights: Weights,
    flow: np.ndarray,
    joints: np.ndarray,
) -> tuple[Weights, np.ndarray, np.ndarray]:
    """Trains the flow network on a clip: pairs in order of time, some passes over them.

    The targets are made once, from the network's flow before the training.

    Args:
      clip: The clip.
      config: See `configs/bases/flow_pose.py`.
      programs: What is compiled.
      weights: Where to start; a new optimiser each time.
      flow: `(pairs, height, width, 2)` by these weights as they are reported.
      joints: `(frames, joints, 2)` joints in the frames, pixels.

    Returns:
      The weights, the loss of each step, and the target of the pair in the middle.
    """
    if config.flow.bn_mode == "train":
        flow, weights = trained_clip_flow(clip, programs, weights)
    pairs = clip.num_frames - 1
    trusted = programs.kind.trusted(clip, config.flow.confidence)
    both = trusted[:-1] & trusted[1:]
    targets = [
        np.asarray(programs.target(flow[t], joints[t], joints[t + 1], both[t]))
        for t in range(pairs)
    ]

    def batches() -> Iterator[Batch]:
        for _ in range(config.flow.epochs):
            for t in range(pairs):
                yield {
                    "image_1": clip.images[t][None],
                    "image_2": clip.images[t + 1][None],
                    "target": targets[t][None],
                }

    task, recorded = programs.task, []

    def record(step: int, state: training.TrainState, logs: Any) -> None:
        del step, state
        recorded.append(logs["flow"])

    state = training.TrainState(
        step=jnp.zeros((), jnp.int32),
        # Copies: the step takes the memory of the state it is given.
        params=jax.tree.map(jnp.array, weights.params),
        model_state=jax.tree.map(jnp.array, weights.model_state),
        opt_state=task.optimizer.init(weights.params),
        key=jax.random.key_data(jax.random.key(config.seed)),
    )
    state = training.fit(
        task,
        state,
        batches(),
        num_steps=config.flow.epochs * pairs,
        hooks=(record,),
        train_step=programs.step,
    )
    losses = np.array([float(loss) for loss in recorded], np.float32)
    return Weights(state.params, state.model_state), losses, targets[pairs // 2]


def refine_poses(
    clip: Clip, config: Config, programs: Programs, flow: np.ndarray
) -> training.MinimiseResult:
    """Minimises the energy of what a clip's estimates say.

    Args:
      clip: The clip.
      config: See `configs/bases/flow_pose.py`.
      programs: What is compiled.
      flow: `(pairs, height, width, 2)`, pixels.

    Raises:
      ValueError: If the person is outside the frames all the time, or the energy is
        not finite.
    """
    kind = programs.kind
    require_joints(clip, kind)
    boxes, offsets = kept_flow(clip, config, kind, flow)
    found = programs.minimise(kind.start(clip), kind.data(clip, boxes, offsets))
    if not bool(found.is_finite):
        raise ValueError(
            f"the energy of clip {clip.name!r} is not finite after "
            f"{int(found.num_steps)} steps; look for infinite estimates or detections, "
            "or lower config.pose.learning_rate."
        )
    return found


def kept_flow(
    clip: Clip, config: Config, kind: Kind, flow: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the flow of a clip around its person, and where the boxes begin.

    The sides of the boxes are multiples of 128 pixels where the frames allow it, so
    that clips of one size share their programs.

    Args:
      clip: The clip.
      config: See `configs/bases/flow_pose.py`.
      kind: What is refined.
      flow: `(pairs, height, width, 2)`, pixels.

    Raises:
      ValueError: If the person is outside the frames all the time.
    """
    height, width = clip.size
    joints = points_of(kind, clip)
    known = np.isfinite(joints).all(axis=-1, keepdims=True)
    if known.any():  # those that are not known are no reason for a larger box
        middle = joints.mean(axis=(0, 1), where=known)
        joints = np.where(known, joints, middle)
    offsets, size = flow_boxes(
        joints, width=width, height=height, margin_px=config.pose.box_margin
    )
    rows, columns = (
        min(-(-side // BOX_STEP) * BOX_STEP, most)
        for side, most in zip(size, clip.size, strict=True)
    )
    offsets = np.minimum(offsets, [width - columns, height - rows]).astype(np.int32)
    boxes = [
        field[y : y + rows, x : x + columns]
        for field, (x, y) in zip(flow, offsets.tolist(), strict=True)
    ]
    return np.stack(boxes), offsets


def require_joints(clip: Clip, kind: Kind) -> None:
    """Checks that a clip has what is refined, somewhere in its frames.

    Raises:
      ValueError: it has not.
    """
    found, wanted = clip.detections.shape[-2], kind.skeleton.num_joints
    needs_bodies = "joints3d" in kind.about
    if found != wanted or clip.has_bodies != needs_bodies:
        raise ValueError(
            f"clip {clip.name!r} has detections of {found} joints "
            f"{'with' if clip.has_bodies else 'without'} bodies, but config.pose.kind "
            f"asks for {wanted} joints {'with' if needs_bodies else 'without'}; choose "
            "the other kind."
        )
    if not kind.known(clip).any():
        raise ValueError(
            f"no joint of clip {clip.name!r} is detected in any frame; give the "
            "detections of this clip."
        )
    (height, width), points = clip.size, points_of(kind, clip)
    if not np.any(np.all((points >= 0) & (points <= [width - 1, height - 1]), axis=-1)):
        raise ValueError(
            f"the joints of clip {clip.name!r} are outside its frames of {width} x "
            f"{height} pixels in all of them; check that poses, crops and frames are "
            "of one video of this size."
        )
