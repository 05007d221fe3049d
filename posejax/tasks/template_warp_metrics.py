"""How template_warp is judged: per-frame measures, and the figures made of them.

Reference: Yoo and Russakovsky 2023, section 4, and the authors' evaluation notebook.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from posejax import metrics
from posejax.numerics import masked_mean
from posejax.skeletons import TEMPLATE_15
from posejax.typing import Batch, MetricFn, PredictFn, Tree

THRESHOLD = 0.05  # of the person's box diagonal


def _pdj(measure: Any) -> MetricFn:
    def metric(predictions: Any, batch: Batch) -> jax.Array:
        return measure(
            predictions.joints,
            batch["joints"],
            batch["diagonal"],
            joint_valid=batch["joint_valid"],
            threshold=THRESHOLD,
        )

    return metric


def _l2(measure: Any) -> MetricFn:
    def metric(predictions: Any, batch: Batch) -> jax.Array:
        return measure(
            predictions.joints,
            batch["joints"],
            joint_valid=batch["joint_valid"],
            image_size=batch["frame_1"].shape[1],
        )

    return metric


def _by_frame(by_joint: MetricFn) -> MetricFn:
    def metric(predictions: Any, batch: Batch) -> jax.Array:
        return masked_mean(by_joint(predictions, batch), batch["joint_valid"])

    return metric


_PDJ, _L2 = _pdj(metrics.pdj), _l2(metrics.normalized_l2)
METRICS: Mapping[str, MetricFn] = {
    "pdj_by_joint": _PDJ,
    "l2_by_joint": _L2,
    "pdj_by_frame": _by_frame(_PDJ),
    "l2_by_frame": _by_frame(_L2),
    "pdj_either_side": _by_frame(_pdj(metrics.pdj_left_right_free)),
    "l2_either_side": _by_frame(_l2(metrics.normalized_l2_left_right_free)),
    "joint_valid": lambda predictions, batch: batch["joint_valid"],
    "arms_out": lambda predictions, batch: metrics.arms_out(
        batch["joints"], joint_valid=batch["joint_valid"]
    ),
    "arms_down": lambda predictions, batch: metrics.arms_down(
        batch["joints"], joint_valid=batch["joint_valid"]
    ),
    "segment_ratios": lambda predictions, batch: metrics.segment_ratios(
        predictions.joints
    ),
}


def summarize(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the figures of a split.

    Percentages of PDJ@0.05 and of the image side; consistency is a plain number. Frames
    without any labelled joint count only in `consistency`, which needs no labels.

    Args:
      values: Per-frame values of `METRICS`, whole split.

    Returns:
      Figures by name; those that nothing was measured for are left out.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), section 4.
    """
    valid = values["joint_valid"].astype(bool)
    seen = np.any(valid, axis=1)
    figures: dict[str, float] = {"frames": float(len(seen))}
    if seen.any():
        figures["labelled_frames"] = float(seen.sum())
        figures |= _labelled_figures(values, valid, seen)
    consistency = metrics.proportion_consistency(jnp.asarray(values["segment_ratios"]))
    figures["consistency"] = float(consistency.consistency)
    figures["proportion_deviation"] = float(consistency.mean_deviation)
    figures["frames_without_torso"] = float(consistency.without_torso)
    return figures


def _labelled_figures(
    values: Mapping[str, np.ndarray], valid: np.ndarray, seen: np.ndarray
) -> dict[str, float]:
    def percent(name: str, where: np.ndarray) -> float:
        return 100 * float(np.mean(values[name][where], dtype=np.float64))

    figures = {
        "pdj": percent("pdj_by_frame", seen),
        "normalized_l2": percent("l2_by_frame", seen),
        "pdj_either_side": percent("pdj_either_side", seen),
        "normalized_l2_either_side": percent("l2_either_side", seen),
    }
    for subset in ("arms_out", "arms_down"):
        where = seen & values[subset].astype(bool)
        figures[f"{subset}_frames"] = float(where.sum())
        if where.any():
            figures[f"{subset}_pdj"] = percent("pdj_by_frame", where)
            figures[f"{subset}_normalized_l2"] = percent("l2_by_frame", where)
    for j, joint in enumerate(TEMPLATE_15.joints):
        if valid[:, j].any():
            for measure in ("pdj", "l2"):
                column = values[f"{measure}_by_joint"][valid[:, j], j]
                name = "pdj" if measure == "pdj" else "normalized_l2"
                figures[f"{name}/{joint}"] = 100 * float(
                    np.mean(column, dtype=np.float64)
                )
    return figures


class ConstantPose(NamedTuple):
    """A prediction that ignores the image: `joints` as in `TemplatePose`."""

    joints: jax.Array


def baselines(
    statistics: Mapping[str, np.ndarray], rest_pose: np.ndarray, image_size: int
) -> dict[str, PredictFn]:
    """Returns the predictors that the model has to beat.

    Args:
      statistics: `mean_joints` `(15, 2)`, mean training pose in units of the image
        side, where there are labels.
      rest_pose: `(15, 2)`, joints of the template at rest, crop pixels.
      image_size: Side of the crop, pixels.

    Returns:
      Predictors by name: the resting template and, where poses are known, their mean.
    """

    def constant(pose: np.ndarray) -> PredictFn:
        def predict(params: Tree, model_state: Tree, batch: Batch) -> ConstantPose:
            del params, model_state
            frames = batch["frame_1"].shape[0]
            joints = jnp.asarray(pose, jnp.float32)[None]
            return ConstantPose(jnp.broadcast_to(joints, (frames, *pose.shape)))

        return predict

    rows = {"resting template": constant(rest_pose)}
    if "mean_joints" in statistics:
        rows["mean training pose"] = constant(statistics["mean_joints"] * image_size)
    return rows
