"""The losses of lawrenceamadi/PoseReg alone, made of the functions of a checkout.

In the reference these terms stand inside the loop of `run_pr.py`; here the same
functions of the checkout are called one after another: bone proportions (BPC) and joint
mobility (JMC) with the checkout's own priors of S1, and the difference of bone
orientations of its supervised branch (five keypoints, scaled by bone length, L1).
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

PRIORS = pathlib.Path("priors") / "S1"
RATIOS = "br_prior_params_blstd.05_wxaug_15_perprp_1e+00.pickle"
MOBILITY = "fb_prior_params_noctr_rmtx4_wxaug_16_grpjnt_1e+00.pickle"
MODES = (1, 0, 1, 0)  # of statistics that no loss uses
Loss = Callable[[], torch.Tensor]


def make_losses(
    root: pathlib.Path, predicted: np.ndarray, target: np.ndarray
) -> Callable[[], float]:
    """Returns a function that computes the sum of the losses and its gradient.

    Args:
      root: The checkout, which is on the path.
      predicted: `(batch, 17, 3)` metres, the root at the origin.
      target: The true poses.

    Returns:
      The function; it returns the orientation part, which depends on no prior.
    """
    from agents import helper

    pose, truth = (
        torch.from_numpy(x[:, None]).to(helper.processor) for x in (predicted, target)
    )
    pose.requires_grad_(True)
    likely = (_proportion(root, pose), _mobility(root, pose))
    alignment = _alignment(pose, truth)

    def total() -> float:
        pose.grad = None
        posture = alignment()
        sum((loss() for loss in likely), posture).backward()
        return posture.item()

    return total


def _lengths(pose: torch.Tensor) -> torch.Tensor:
    from agents import helper

    ends = helper.BONE_CHILD_KPTS_IDXS, helper.BONE_PARENT_KPTS_IDXS
    return torch.linalg.norm(pose[:, :, ends[0]] - pose[:, :, ends[1]], dim=3)


def _log_loss(likelihood: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return -torch.mean(weights * torch.log(likelihood + 1.0))


def _proportion(root: pathlib.Path, pose: torch.Tensor) -> Loss:
    from agents import helper, pose_regs
    from agents import rbo_transform_tc as rbo

    prior = helper.pickle_load(str(root / PRIORS / RATIOS))
    bones = helper.VPOSE3D_BONE_ID_2_IDX
    above, below = pose_regs.extract_bpc_config_params(prior, bones)
    epsilon = rbo.torch_t(1e-5)
    numbers = pose_regs.configure_bpc_likelihood(prior, MODES, epsilon)
    variance, peak, mean, weights = (*numbers[:3], numbers[-1])

    def loss() -> torch.Tensor:
        lengths = _lengths(pose)
        ratios = rbo.guard_div1(lengths[:, :, above], lengths[:, :, below])
        return _log_loss(rbo.bpc_likelihood_func(ratios, variance, peak, mean), weights)

    return loss


def _orientations(
    size: int, table: Mapping[str, Any], order: Sequence[str], *, grouped: bool
) -> tuple[Callable[[torch.Tensor], torch.Tensor], Any]:
    """Returns pose to unit vectors of bones, and the place of each bone's length.

    Grouped (left bones as right ones) from four keypoints, otherwise from five.
    """
    from agents import pose_regs
    from agents import rbo_transform_tc as rbo

    found = pose_regs.fboa_rotamatrix_config(table, order, grouped, not grouped)
    corners, signs, rows, first, second, plain, _, lengths = found
    bones = rbo.FreeBoneOrientation(
        size, signs, first, second, rows, nr_fb_idxs=plain, quintuple=not grouped
    )
    return (lambda pose: bones(pose[:, :, corners])), lengths


def _mobility(root: pathlib.Path, pose: torch.Tensor) -> Loss:
    from agents import helper, pose_regs
    from agents import rbo_transform_tc as rbo

    prior = helper.pickle_load(str(root / PRIORS / MOBILITY))
    epsilon = rbo.torch_t(1e-5)
    numbers = pose_regs.configure_jmc_likelihood(prior, MODES, epsilon, 2)
    ranks, weights = numbers[:2]
    table, order = prior["joint_align_config"], prior["joint_order"]
    orientations, _ = _orientations(len(pose), table, order, grouped=True)

    def loss() -> torch.Tensor:
        vectors, found = orientations(pose), []
        for members, mean, inverse, peak, *_ in ranks:
            joined = torch.cat([vectors[:, :, bones] for bones in members], dim=-1)
            found.append(rbo.jmc_likelihood_func(joined, mean, inverse, peak))
        return _log_loss(torch.cat(found, dim=-1), weights)

    return loss


def _alignment(pose: torch.Tensor, truth: torch.Tensor) -> Loss:
    from agents import helper

    table = helper.MPBOE_BONE_ALIGN_CONFIG
    orientations, places = _orientations(len(pose), table, list(table), grouped=False)

    def loss() -> torch.Tensor:
        scale = _lengths(truth)[:, :, places, None]
        wanted = (scale * orientations(truth)).detach()
        difference = scale * orientations(pose) - wanted
        return torch.mean(torch.linalg.norm(difference, dim=-1, ord=1))

    return loss
