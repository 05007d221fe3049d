"""Flow and poses of a clip, improved by turns: Arko et al. 2022 (arXiv 2210.15121).

A cycle of flow fine-tunes RAFT on the clip: from each pair of frames it asks for its
own flow, but on the skeleton for the skeleton's motion. A cycle of poses minimises an
energy of all poses and cameras, with the flow held fixed. The order is flow, poses,
flow. Every clip starts from the same weights; clips do not know of each other.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from posejax import optimizers, training
from posejax.data.clips import Clip
from posejax.data.flow_boxes import flow_boxes
from posejax.losses import PoseClip, PoseVariables
from posejax.tasks import flow_pose
from posejax.tasks.flow_pose_bodies import BodyPriors
from posejax.typing import Batch, Config, Task, Tree

Watch = Callable[[str], None]


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
      trained_flow: The same with the statistics of fine-tuning.
      target: `(flow, joints, next_joints) -> target`.
      minimise: `(PoseVariables, PoseClip) -> MinimiseResult`.
    """

    task: Task
    step: training.TrainStep
    flow: Callable[..., jax.Array]
    trained_flow: Callable[..., jax.Array]
    target: Callable[..., jax.Array]
    minimise: Callable[..., training.MinimiseResult]


class ClipResult(NamedTuple):
    """What the joint optimisation made of a clip.

    Attributes:
      flows: Flow from each frame to the next, `(pairs, height, width, 2)` pixels: by
        the given weights, after the first and, if there was one, the second cycle.
      target: What the first cycle asked for in the pair in the middle of the clip.
      pose: `(frames, 14, 3)` optimised joints, metres.
      camera: `(frames, 3)` optimised cameras.
      flow_losses: Per cycle the loss of each step.
      energies: The energy before each update of the poses.
      terms: Each of its terms.
      weights: The weights after the last cycle.
    """

    flows: tuple[np.ndarray, ...]
    target: np.ndarray
    pose: np.ndarray
    camera: np.ndarray
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
    pose = config.pose

    def target(flow: jax.Array, joints: jax.Array, later: jax.Array) -> jax.Array:
        return flow_pose.skeleton_target(
            flow,
            joints,
            later,
            num_between=config.flow.points,
            radius=config.flow.radius,
        )

    return Programs(
        task=task,
        step=training.make_train_step(task, mesh=mesh),
        flow=jax.jit(flow_pose.make_flow(config)),
        trained_flow=jax.jit(flow_pose.make_flow(config, train=True)),
        target=jax.jit(target),
        minimise=training.make_minimise(
            flow_pose.make_energy(config, priors),
            optimizers.adam(pose.learning_rate),
            num_steps=pose.num_steps,
            stop=training.PrintedStop(pose.stop_decimals, pose.stop_repeats),
        ),
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
    first = clip_flow(clip, programs, weights)
    joints = _projection(clip, clip.pose, clip.camera)
    watch("flow, first cycle")
    tuned, losses, target = fine_tune(clip, config, programs, weights, first, joints)
    flows, flow_losses = [first, clip_flow(clip, programs, tuned)], [losses]
    watch("poses")
    found = refine_poses(clip, config, programs, flows[-1])
    pose, camera = (np.asarray(array) for array in found.variables)
    if config.flow.cycles == 2:
        watch("flow, second cycle")
        joints = _projection(clip, pose, camera)
        tuned, losses, _ = fine_tune(clip, config, programs, tuned, flows[-1], joints)
        flows.append(clip_flow(clip, programs, tuned))
        flow_losses.append(losses)
    count = int(found.num_steps)
    return ClipResult(
        flows=tuple(flows),
        target=target,
        pose=pose,
        camera=camera,
        flow_losses=tuple(flow_losses),
        energies=np.asarray(found.losses)[:count],
        terms={name: np.asarray(term)[:count] for name, term in found.terms.items()},
        weights=jax.device_get(tuned),
    )


def clip_flow(
    clip: Clip, programs: Programs, weights: Weights, *, is_trained: bool = False
) -> np.ndarray:
    """Returns the flow from each frame of a clip to the next, pixels.

    Args:
      clip: The clip.
      programs: What is compiled.
      weights: Of the flow network.
      is_trained: True for the flow as the fine-tuning sees it.
    """
    compute = programs.trained_flow if is_trained else programs.flow
    frames = clip.images
    return np.stack(
        [
            np.asarray(compute(*weights, frames[t][None], frames[t + 1][None])[0])
            for t in range(clip.num_frames - 1)
        ]
    )


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
      joints: `(frames, 14, 2)` joints in the frames, pixels.

    Returns:
      The weights, the loss of each step, and the target of the pair in the middle.
    """
    if config.flow.bn_mode == "train":
        flow = clip_flow(clip, programs, weights, is_trained=True)
    pairs = clip.num_frames - 1
    targets = [
        np.asarray(programs.target(flow[t], joints[t], joints[t + 1]))
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
    """Minimises the energy of a clip's poses and cameras.

    Args:
      clip: The clip.
      config: See `configs/bases/flow_pose.py`.
      programs: What is compiled.
      flow: `(pairs, height, width, 2)`, pixels.

    Raises:
      ValueError: If the person is outside the frames all the time, or the energy is
        not finite.
    """
    height, width = clip.size
    joints = _projection(clip, clip.pose, clip.camera)
    offsets, (rows, columns) = flow_boxes(
        joints, width=width, height=height, margin_px=config.pose.box_margin
    )
    boxes = np.stack(
        [
            field[y : y + rows, x : x + columns]
            for field, (x, y) in zip(flow, offsets.tolist(), strict=True)
        ]
    )
    known = PoseClip(
        initial_pose=jnp.asarray(clip.pose),
        detections=jnp.asarray(clip.detections),
        confidence=jnp.asarray(clip.confidence),
        scale=jnp.asarray(clip.scale, jnp.float32),
        origin=jnp.asarray(clip.origin, jnp.float32),
        flow=jnp.asarray(boxes),
        flow_offset=jnp.asarray(offsets, jnp.float32),
    )
    start = PoseVariables(jnp.asarray(clip.pose), jnp.asarray(clip.camera))
    found = programs.minimise(start, known)
    if not bool(found.is_finite):
        raise ValueError(
            f"the energy of clip {clip.name!r} is not finite after "
            f"{int(found.num_steps)} steps; look for infinite estimates or detections, "
            "or lower config.pose.learning_rate."
        )
    return found


def _projection(clip: Clip, pose: np.ndarray, camera: np.ndarray) -> np.ndarray:
    return flow_pose.projected(pose, camera, clip.scale, clip.origin)
