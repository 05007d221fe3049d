"""Priors of bodies as further terms of the pose energy: 14 joints seen as 17.

The priors of Amadi and Agam 2023 are for the 17 joints of Human3.6M. Of these, the 14
joints of LSP lack the pelvis (the middle of the hips), the spine (taken as the middle
between pelvis and neck) and the nose (left out of the priors). The priors are fitted to
bodies that were made in the same way, but for a random step of the spine and the nose:
lying on a line with others they would be certain, and no density.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax import priors
from posejax.data.h36m_lsp import lsp_joints
from posejax.data.pose_source import read_pose_set
from posejax.losses import PoseVariables
from posejax.skeletons import H36M_17, LSP_14
from posejax.typing import Config

UNKNOWN_M = 0.03  # deviation of those steps, metres per axis


class BodyPriors(NamedTuple):
    """What is known of bodies.

    Attributes:
      proportion: Density of bone-length ratios.
      mobility: Density of directions of bones relative to their neighbours.
    """

    proportion: priors.BoneProportionPrior
    mobility: priors.JointMobilityPrior


def body_of_17(pose: Float[Array, "*batch 14 3"]) -> Float[Array, "*batch 17 3"]:
    """Returns joints of `skeletons.H36M_17` made from those of `skeletons.LSP_14`.

    Args:
      pose: Joints, any frame and unit.
    """
    names = {name: pose[..., number, :] for number, name in enumerate(LSP_14.joints)}
    names["pelvis"] = (names["right_hip"] + names["left_hip"]) / 2
    names["thorax"] = names["neck"]
    names["spine"] = (names["pelvis"] + names["thorax"]) / 2
    names["nose"] = (names["thorax"] + names["head_top"]) / 2
    return jnp.stack([names[name] for name in H36M_17.joints], axis=-2)


def prior_terms(name: str, known: BodyPriors | None) -> Callable[[Any], jax.Array]:
    """Returns a term of the energy: mean over frames of a prior's loss.

    Args:
      name: `bone_proportion` or `joint_mobility`.
      known: The priors.
    """
    assert known is not None

    def term(variables: PoseVariables) -> jax.Array:
        body = body_of_17(variables.pose)
        if name == "bone_proportion":
            loss = priors.bone_proportion_loss(body, known.proportion, has_nose=False)
        else:
            loss = priors.joint_mobility_loss(body, known.mobility, has_nose=False)
        return jnp.mean(loss, axis=-1)

    return term


def fit_body_priors(config: Config, data_dir: str) -> BodyPriors:
    """Fits the priors to the poses that `config.prior` names.

    Raises:
      FileNotFoundError: the data set is not prepared.
      ValueError: an unknown subject, or poses that give no density.
    """
    wanted = tuple(config.prior.subjects)
    found = read_pose_set(
        data_dir, config.prior.data, config=config.prior.data_config, subjects=wanted
    )
    poses = np.concatenate(
        [
            lsp_joints(recording.poses_3d[:: config.prior.every])
            for recording in found.recordings
            if recording.poses_3d is not None
        ]
    )
    bodies = np.asarray(jax.jit(body_of_17)(poses), np.float64)
    bodies -= bodies[:, :1]
    guessed = [H36M_17.index("spine"), H36M_17.index("nose")]
    rng = np.random.default_rng(config.seed)
    bodies[:, guessed] += UNKNOWN_M * rng.standard_normal((len(bodies), 2, 3))
    return BodyPriors(
        priors.fit_bone_proportion(
            bodies, seed=config.seed, length_std=config.prior.length_std
        ),
        priors.fit_joint_mobility(bodies),
    )
