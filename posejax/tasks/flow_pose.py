"""The joint optimisation of optical flow and pose: its fine-tuning and its energy.

Arko et al., Bootstrapping Human Optical Flow and Pose, BMVC 2022 (arXiv 2210.15121).
For each clip, RAFT is trained on to agree with the motion of the estimated skeleton
(the task made here), and the poses are moved so that their motion agrees with the flow
(the energy made here). `procedures/alternate.py` does the one after the other.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from posejax import geometry, importers, losses, metrics, models, optimizers
from posejax.checks import require_at_least, require_choice
from posejax.data.h36m_lsp import centred_on_hips
from posejax.tasks.flow_pose_bodies import BodyPriors, prior_terms
from posejax.typing import Batch, Config, LossOutput, Task, Tree

BN_MODES = ("frozen", "train")
PRIOR_TERMS = ("bone_proportion", "joint_mobility")


def make_network(config: Config) -> models.RaftNetwork:
    """Returns the flow network of a config.

    Raises:
      ValueError: an unknown choice, or a number out of its range.
    """
    require_choice("config.flow.bn_mode", config.flow.bn_mode, BN_MODES)
    require_at_least("config.flow.updates", config.flow.updates, 1)
    return models.raft_network(
        config.flow.variant,
        bn_mode=config.flow.bn_mode,
        corr=config.flow.corr,
        remat=config.flow.remat,
        dtype=models.compute_dtype(config.compute_dtype),
    )


def initial_weights(config: Config) -> tuple[Tree, Tree]:
    """Returns the weights that every clip starts from, `(params, model_state)`.

    Raises:
      FileNotFoundError: they are not there.
      ValueError: they are of another network.
    """
    like = jax.eval_shape(make_network(config).init, jax.random.key(0))
    return importers.read_weights(config.flow.weights, like=like)


def make_flow(config: Config) -> Callable[..., jax.Array]:
    """Returns `(params, model_state, image_1, image_2) -> flow` for frames of any size.

    Args:
      config: See `configs/bases/flow_pose.py`.

    Returns:
      A pure function of `(batch, height, width, 3)` frames, values in 0..255, to flow
      of their size, pixels.
    """
    network = make_network(config)

    def flow(
        params: Tree, model_state: Tree, image_1: jax.Array, image_2: jax.Array
    ) -> jax.Array:
        return _flow(config, network, params, model_state, image_1, image_2, False)[0]

    return flow


def make_trained_flow(config: Config) -> Callable[..., tuple[jax.Array, Tree]]:
    """Returns `(params, model_state, image_1, image_2) -> (flow, model_state)`.

    The flow is normalised as the fine-tuning does it (`config.flow.bn_mode`), and so
    its statistics move.

    Args:
      config: See `configs/bases/flow_pose.py`.

    Returns:
      A pure function, else as that of `make_flow`.
    """
    network = make_network(config)

    def flow(
        params: Tree, model_state: Tree, image_1: jax.Array, image_2: jax.Array
    ) -> tuple[jax.Array, Tree]:
        return _flow(config, network, params, model_state, image_1, image_2, True)

    return flow


def _flow(
    config: Config,
    network: models.RaftNetwork,
    params: Tree,
    model_state: Tree,
    image_1: jax.Array,
    image_2: jax.Array,
    train: bool,
) -> tuple[jax.Array, Tree]:
    """Returns the flow of frames of any size, and the moved statistics."""
    frames = (
        geometry.pad_to_multiple(jnp.asarray(image, jnp.float32))
        for image in (image_1, image_2)
    )
    output, state = network.apply(
        params, model_state, *frames, num_updates=config.flow.updates, train=train
    )
    height, width = image_1.shape[1:3]
    return geometry.remove_padding(output.flow, size=(height, width)), state


def make_task(config: Config, data_dir: str = "data") -> Task:
    """Returns the task of fine-tuning: one pair of frames and its target per batch.

    A batch holds `image_1`, `image_2` (1, height, width, 3) and `target`
    (1, height, width, 2), the flow that the skeleton asks for.

    Args:
      config: See `configs/bases/flow_pose.py`.
      data_dir: Unused; tasks are made from a config and a folder.

    Raises:
      FileNotFoundError: the initial weights are not there.
      ValueError: a value that is not legal.
    """
    del data_dir
    network = make_network(config)

    def init(key: jax.Array, batch: Batch) -> tuple[Tree, Tree]:
        del key, batch
        return initial_weights(config)

    def loss(
        params: Tree,
        model_state: Tree,
        batch: Batch,
        *,
        key: jax.Array,
        step: jax.Array,
    ) -> LossOutput:
        del key, step
        frames = batch["image_1"], batch["image_2"]
        found, state = _flow(config, network, params, model_state, *frames, True)
        value = jnp.mean(losses.smooth_flow_loss(found, batch["target"]))
        return LossOutput(value, state, {"flow": value})

    def predict(params: Tree, model_state: Tree, batch: Batch) -> Any:
        frames = batch["image_1"], batch["image_2"]
        return _flow(config, network, params, model_state, *frames, False)[0]

    return Task(
        init=init,
        loss=loss,
        predict=predict,
        metrics={},
        optimizer=optimizers.adam(config.flow.learning_rate),
    )


def asked_priors(config: Config) -> tuple[str, ...]:
    """Returns the priors of bodies that have a weight.

    Raises:
      ValueError: there are no bodies that they could be of.
    """
    weights = config.pose.weights
    asked = tuple(name for name in PRIOR_TERMS if weights[name])
    if asked and config.pose.kind != "3d":
        raise ValueError(
            f"config.pose.weights.{asked[0]} is {weights[asked[0]]}, but there are no "
            f"bodies in config.pose.kind {config.pose.kind!r}; set it to 0."
        )
    return asked


def make_energy(
    config: Config, priors: BodyPriors | None = None
) -> Callable[..., tuple[jax.Array, Mapping[str, jax.Array]]]:
    """Returns the energy of a clip's poses, `(variables, data) -> (total, terms)`.

    Args:
      config: See `configs/bases/flow_pose.py`; a prior whose weight is 0 is not
        computed.
      priors: The priors of bodies, where a weight asks for them.

    Raises:
      ValueError: If a weight asks for a prior that is not given.
    """
    asked = asked_priors(config)
    if config.pose.kind == "2d":
        of_points = config.pose.point_weights.to_dict()
        return lambda points, data: losses.point_energy(points, data, of_points)
    weights = config.pose.weights.to_dict()
    if asked and priors is None:
        raise ValueError(
            f"config.pose.weights.{asked[0]} is {weights[asked[0]]}, but there is no "
            "prior; give those of fit_body_priors."
        )
    for name in set(PRIOR_TERMS) - set(asked):
        del weights[name]
    extra = {name: prior_terms(name, priors) for name in asked}

    def energy(
        variables: losses.PoseVariables, data: losses.PoseClip
    ) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        return losses.pose_energy(variables, data, weights, extra_terms=extra)

    return energy


def skeleton_target(
    flow: jax.Array,
    joints: jax.Array,
    next_joints: jax.Array,
    *,
    joint_valid: jax.Array,
    bones: tuple[tuple[int, int], ...],
    num_between: int,
    radius: int,
    keeps_beyond: bool = True,
) -> jax.Array:
    """Returns the flow that a moving skeleton asks for, from a flow to start from.

    Args:
      flow: `(height, width, 2)`, pixels.
      joints: `(joints, 2)` in the first frame, pixels.
      next_joints: The same in the second.
      joint_valid: `(joints,)`, which of them ask for flow: known in both frames.
      bones: Along which it is asked for, in the order of painting.
      num_between: Points on each bone between its ends.
      radius: Half the side of the square around a point, pixels.
      keeps_beyond: False leaves out points beyond the right or lower border.
    """
    options = {"bones": bones, "num_between": num_between, "joint_valid": joint_valid}
    points, valid = geometry.skeleton_points(joints, **options)
    later, _ = geometry.skeleton_points(next_joints, **options)
    if not keeps_beyond:
        height, width = flow.shape[:2]
        border = jnp.array([[width, height]], points.dtype)
        valid &= jnp.all(jnp.round(points) < border, axis=-1)
    return geometry.flow_target(flow, points, later, valid=valid, radius=radius)[0]


def projected(pose: Any, camera: Any, scale: Any, origin: Any) -> np.ndarray:
    """Returns joints in the frames, on the host; see `geometry`'s function."""
    arrays = (
        jnp.asarray(array, jnp.float32) for array in (pose, camera, scale, origin)
    )
    return np.asarray(geometry.project_weak_perspective(*arrays))


def pose_errors(pose: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Returns errors of a clip's poses against the true ones, on the host.

    Args:
      pose: `(frames, 14, 3)` joints of `skeletons.LSP_14`, metres.
      target: The true ones, NaN in frames that do not count; both are compared
        relative to the middle of the hips.

    Returns:
      `mpjpe_mm` and `p_mpjpe_mm` per frame that counts, `acceleration_mm` per frame
      that counts with both neighbours (mm per frame squared).
    """
    counts = np.asarray(np.isfinite(target).all(axis=(-2, -1)))
    inner = counts[:-2] & counts[1:-1] & counts[2:]
    target = np.where(counts[:, None, None], target, pose)
    both = (centred_on_hips(np.asarray(array, np.float32)) for array in (pose, target))
    predicted, wanted = (jnp.asarray(array) for array in both)
    found = {
        "mpjpe_mm": metrics.mpjpe(predicted, wanted),
        "p_mpjpe_mm": metrics.p_mpjpe(predicted, wanted),
        "acceleration_mm": metrics.acceleration_error(predicted, wanted),
    }
    counted = {"acceleration_mm": inner}
    return {
        name: 1000 * np.asarray(value)[counted.get(name, counts)]
        for name, value in found.items()
    }
