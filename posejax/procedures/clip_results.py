"""What the joint optimisation writes of each clip: arrays, figures, pictures."""

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from posejax import importers, metrics, render
from posejax.data.clip_labels import labels_as
from posejax.data.clips import Clip, ClipTruth
from posejax.data.flow_files import write_flo
from posejax.procedures.alternate import ClipResult
from posejax.skeletons import LSP_14
from posejax.tasks import flow_pose
from posejax.tasks.flow_pose_kinds import Estimates, Kind
from posejax.typing import Config

STAGES = ("original", "first", "second")  # the published names of the flow's cycles
ORIGINAL, OPTIMISED = (255, 145, 0), (0, 220, 235)  # colours of the poses
PUBLISHED_JOINTS = 32  # by which the published code divides, whatever there is
JOINT_COUNTS = (17, 14)
Figures = dict[str, Any]


def clip_figures(
    clip: Clip, result: ClipResult, kind: Kind, evaluation: Config
) -> Figures:
    """Returns sums and counts, from which figures of any group of clips are made.

    Args:
      clip: The clip.
      result: What was made of it.
      kind: What was refined.
      evaluation: `joints` and `per_32`.

    Returns:
      By name `[sum, count]`: `joint_epe/<stage>` (pixels, over joints and pairs; where
      asked for, `joint_epe_per_32/<stage>`), `dense_epe/<stage>` where the true flow is
      known, and for `original` and `optimised` poses `mpjpe_mm`, `p_mpjpe_mm` (over
      frames), `acceleration_mm` (over inner frames) and `projection_px` (over joints).
      Empty without truth.

    Raises:
      ValueError: If `evaluation.joints` is neither 17 nor 14.
    """
    if evaluation.joints not in JOINT_COUNTS:
        raise ValueError(
            f"config.evaluation.joints is {evaluation.joints!r}; expected 17 (all "
            "labelled joints of Human3.6M) or 14 (those of LSP)."
        )
    truth = clip.truth
    if truth is None:
        return {}
    found: Figures = {}
    joints = _labels(truth)
    for stage, flow in zip(STAGES, result.flows, strict=False):
        if joints is not None:
            found |= _joint_flow(flow, joints, stage, evaluation)
        if truth.flow is not None:
            dense = np.linalg.norm(flow - truth.flow, axis=-1)
            found[f"dense_epe/{stage}"] = _sum(dense, np.ones_like(dense))
    for name, estimates in (
        ("original", result.original),
        ("optimised", result.optimised),
    ):
        found |= _pose_figures(clip, truth, kind, estimates, name)
    return found


def _labels(truth: ClipTruth) -> np.ndarray | None:
    """The labelled joints, NaN for those that are not known."""
    if truth.joints is None or truth.joint_valid is None:
        return None
    return np.where(truth.joint_valid[..., None], truth.joints, np.nan)


def _joint_flow(
    flow: np.ndarray, joints: np.ndarray, stage: str, evaluation: Config
) -> Figures:
    """The errors at the labelled joints, and the published figure beside them."""
    fields = jnp.asarray(flow)

    def errors(joints: np.ndarray) -> metrics.JointFlowErrors:
        known = np.asarray(np.isfinite(joints).all(axis=-1))
        points = jnp.asarray(np.where(known[..., None], joints, 0))
        both = jnp.asarray(known[:-1] & known[1:])
        return metrics.joint_flow_errors(
            fields, points[:-1], points[1:], joint_valid=both
        )

    wanted = joints
    if evaluation.joints == LSP_14.num_joints:
        wanted = labels_as(joints, LSP_14)
    judged = errors(wanted)
    found = {f"joint_epe/{stage}": _sum(judged.errors, judged.counts)}
    if evaluation.per_32:
        judged = errors(joints)
        points = jnp.asarray(np.nan_to_num(joints[:-1], nan=-1.0))
        last = metrics.joint_flow_distinct_pixels(fields, points)
        total, _ = _sum(np.where(last, judged.errors, 0), judged.counts)
        count = float(PUBLISHED_JOINTS * len(flow))
        found[f"joint_epe_per_32/{stage}"] = [total, count]
    return found


def _pose_figures(
    clip: Clip, truth: ClipTruth, kind: Kind, estimates: Estimates, name: str
) -> Figures:
    found: Figures = {}
    if truth.pose is not None and "joints3d" in estimates:
        errors = flow_pose.pose_errors(estimates["joints3d"], truth.pose)
        for measure, values in errors.items():
            found[f"{measure}/{name}"] = _sum(values, np.ones_like(values))
    joints = _labels(truth)
    if joints is not None:
        labels = labels_as(joints, kind.skeleton)
        counts = np.isfinite(labels).all(axis=-1) & kind.known(clip)
        offsets = np.where(counts[..., None], estimates["joints2d"] - labels, 0)
        distances = np.linalg.norm(offsets, axis=-1)
        found[f"projection_px/{name}"] = _sum(distances, counts)
    return found


def _sum(values: Any, counts: Any) -> list[float]:
    return [
        float(np.sum(np.asarray(values), dtype=np.float64)),
        float(np.sum(np.asarray(counts), dtype=np.float64)),
    ]


def mean_figures(rows: Iterable[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """Returns the figures of a group of clips: sums by counts.

    Args:
      rows: Of each clip, see `clip_figures`.
    """
    totals: dict[str, np.ndarray] = {}
    for row in rows:
        for name, pair in row.items():
            totals[name] = totals.get(name, np.zeros(2)) + np.asarray(pair)
    return {name: float(s / n) for name, (s, n) in totals.items() if n}


def total_counts(rows: Iterable[Mapping[str, Sequence[float]]]) -> dict[str, int]:
    """Returns how many errors the mean of each figure is of.

    Args:
      rows: Of each clip, see `clip_figures`.
    """
    totals: dict[str, int] = {}
    for row in rows:
        for name, (_, count) in row.items():
            totals[name] = totals.get(name, 0) + int(count)
    return totals


def figure_tables(figures: Mapping[str, float]) -> str:
    """Returns the tables of flow and of poses, as text.

    Args:
      figures: See `mean_figures`.
    """
    flow = {
        stage: {
            what: figures.get(f"{name}/{stage}")
            for name, what in (
                ("joint_epe", "joints px"),
                ("joint_epe_per_32", "joints, sum/32 px"),
                ("dense_epe", "all px"),
            )
            if f"{name}/original" in figures
        }
        for stage in STAGES
        if {f"joint_epe/{stage}", f"dense_epe/{stage}"} & set(figures)
    }
    measures = {
        "mpjpe_mm": "MPJPE mm",
        "p_mpjpe_mm": "PA-MPJPE mm",
        "acceleration_mm": "acceleration mm/frame^2",
        "projection_px": "projection px",
    }
    pose = {
        name: {
            title: figures[f"{measure}/{name}"]
            for measure, title in measures.items()
            if f"{measure}/{name}" in figures
        }
        for name in ("original", "optimised")
    }
    parts = [render.figure_table(flow, corner="flow, EPE")] if flow else []
    if any(pose.values()):
        parts.append(render.figure_table(pose, corner="poses"))
    return "\n\n".join(parts)


def write_clip(
    folder: pathlib.Path, clip: Clip, result: ClipResult, kind: Kind, output: Config
) -> None:
    """Writes the estimates of a clip, and what `config.output` asks for.

    Args:
      folder: Of the clip.
      clip: The clip.
      result: What was made of it.
      kind: What was refined.
      output: `flow`, `weights`, `pictures`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "clip": clip.name,
        "skeleton": kind.skeleton.name,
        **kind.about,
        "fps": clip.fps,
        "frame_size": clip.size,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for ending, estimates in (("orig", result.original), ("optim", result.optimised)):
        arrays |= {f"{name}_{ending}": array for name, array in estimates.items()}
    if clip.has_bodies:
        arrays |= {"scale": clip.scale, "origin": clip.origin}
    arrays |= {
        "confidence": clip.confidence,
        "energy": result.energies,
        **{f"energy_{name}": term for name, term in result.terms.items()},
        **{f"flow_loss_{n + 1}": x for n, x in enumerate(result.flow_losses)},
    }
    with render.replaced_whole(folder / "estimates.npz") as part, part.open("wb") as f:
        np.savez_compressed(f, **arrays)
    if output["weights"]:
        importers.save_weights(
            folder / "weights.npz",
            tuple(result.weights),
            description={"fine-tuned on": clip.name},
        )
    if output["flow"]:
        for stage, flows in zip(STAGES, result.flows, strict=False):
            (folder / f"flow_{stage}").mkdir(exist_ok=True)
            for number, flow in enumerate(flows):
                write_flo(folder / f"flow_{stage}" / f"{number:05d}.flo", flow)
    if output["pictures"]:
        write_pictures(folder, clip, result, kind)


def write_pictures(
    folder: pathlib.Path, clip: Clip, result: ClipResult, kind: Kind
) -> None:
    """Writes a sheet of the pair in the middle, and a video of both poses and flows.

    Args:
      folder: Of the clip.
      clip: The clip.
      result: What was made of it.
      kind: What was refined.
    """
    middle = (clip.num_frames - 1) // 2
    longest = max(  # not of the target, beside which a slow flow would be white
        float(np.linalg.norm(flows[middle], axis=-1).max()) for flows in result.flows
    )
    rows = [_frame(clip, result, kind, middle)]
    titles = ["poses: original orange, optimised blue"]
    for stage, flows in zip(STAGES, result.flows, strict=False):
        rows.append(render.flow_to_image(flows[middle], max_length=longest))
        titles.append(f"flow, {stage}")
        if stage == "original":
            target = render.flow_to_image(result.target, max_length=longest)
            rows.append(target)
            titles.append("target of the first cycle")
    if clip.truth is not None and clip.truth.flow is not None:
        true = clip.truth.flow[middle]
        rows.append(render.flow_to_image(true, max_length=longest))
        titles.append("true flow")
    sheet = render.frame_row(rows, titles, height=max(256, clip.size[0]))
    render.write_png(folder / "sheet.png", sheet)

    def frames():
        for t in range(clip.num_frames - 1):
            pictures = [_frame(clip, result, kind, t)]
            reach = max(
                float(np.linalg.norm(f[t], axis=-1).max()) for f in result.flows
            )
            for flows in (result.flows[0], result.flows[-1]):
                pictures.append(render.flow_to_image(flows[t], max_length=reach))
            yield render.frame_row(
                pictures, ["poses", "flow before", "flow after"], height=256
            )

    render.write_video(folder / "clip.mp4", frames(), clip.fps)


def _frame(clip: Clip, result: ClipResult, kind: Kind, t: int) -> np.ndarray:
    """A frame with the skeletons of the original and of the optimised pose."""
    picture = clip.images[t]
    for estimates, color in (
        (result.original, ORIGINAL),
        (result.optimised, OPTIMISED),
    ):
        picture = render.draw_skeleton(
            picture,
            estimates["joints2d"][t],
            chains=kind.bones,
            valid=kind.known(clip)[t],
            line_color=color,
            joint_colors=color,
        )
    return picture
