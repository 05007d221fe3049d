"""What the joint optimisation writes of each clip: arrays, figures, pictures."""

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from posejax import importers, metrics, render
from posejax.data.clips import Clip
from posejax.data.flow_files import write_flo
from posejax.geometry import LSP_FLOW_BONES
from posejax.procedures.alternate import ClipResult
from posejax.tasks import flow_pose
from posejax.typing import Config

STAGES = ("original", "first", "second")  # the published names of the flow's cycles
ORIGINAL, OPTIMISED = (255, 145, 0), (0, 220, 235)  # colours of the poses
Figures = dict[str, Any]


def clip_figures(clip: Clip, result: ClipResult) -> Figures:
    """Returns sums and counts, from which figures of any group of clips are made.

    Args:
      clip: The clip.
      result: What was made of it.

    Returns:
      By name `[sum, count]`: `joint_epe/<stage>` (pixels, over joints and pairs),
      `dense_epe/<stage>` where the true flow is known, and for `original` and
      `optimised` poses `mpjpe_mm`, `p_mpjpe_mm` (over frames), `acceleration_mm` (over
      inner frames) and `projection_px` (over joints). Empty without truth.
    """
    truth = clip.truth
    if truth is None:
        return {}
    found: Figures = {}
    both = truth.joint_valid[:-1] & truth.joint_valid[1:]
    for stage, flow in zip(STAGES, result.flows, strict=False):
        errors = metrics.joint_flow_errors(
            jnp.asarray(flow),
            jnp.asarray(truth.joints[:-1]),
            jnp.asarray(truth.joints[1:]),
            joint_valid=jnp.asarray(both),
        )
        found[f"joint_epe/{stage}"] = _sum(errors.errors, errors.counts)
        if truth.flow is not None:
            dense = np.linalg.norm(flow - truth.flow, axis=-1)
            found[f"dense_epe/{stage}"] = _sum(dense, np.ones_like(dense))
    for name, pose, camera in (
        ("original", clip.pose, clip.camera),
        ("optimised", result.pose, result.camera),
    ):
        if truth.pose is not None:
            for measure, values in flow_pose.pose_errors(pose, truth.pose).items():
                found[f"{measure}/{name}"] = _sum(values, np.ones_like(values))
        points = flow_pose.projected(pose, camera, clip.scale, clip.origin)
        distances = np.linalg.norm(points - truth.joints, axis=-1)
        found[f"projection_px/{name}"] = _sum(
            np.where(truth.joint_valid, distances, 0), truth.joint_valid
        )
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


def figure_tables(figures: Mapping[str, float]) -> str:
    """Returns the tables of flow and of poses, as text.

    Args:
      figures: See `mean_figures`.
    """
    flow = {
        stage: {
            what: figures.get(f"{name}/{stage}")
            for name, what in (("joint_epe", "joints px"), ("dense_epe", "all px"))
            if f"{name}/original" in figures
        }
        for stage in STAGES
        if f"joint_epe/{stage}" in figures
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
    folder: pathlib.Path, clip: Clip, result: ClipResult, output: Config
) -> None:
    """Writes the estimates of a clip, and what `config.output` asks for.

    Args:
      folder: Of the clip.
      clip: The clip.
      result: What was made of it.
      output: `flow`, `weights`, `pictures`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    projections = [
        flow_pose.projected(pose, camera, clip.scale, clip.origin)
        for pose, camera in ((clip.pose, clip.camera), (result.pose, result.camera))
    ]
    about = {
        "clip": clip.name,
        "skeleton": "lsp_14",
        "joints3d": "metres relative to the pelvis; camera axes: x right, y down",
        "joints2d": "pixels of the frames as used, x before y",
        "camera": "(s, tx, ty) of a weak-perspective camera, see posejax.geometry",
        "fps": clip.fps,
        "frame_size": clip.size,
    }
    arrays: dict[str, Any] = {
        "about": np.array(json.dumps(about)),
        "joints3d_orig": clip.pose,
        "joints3d_optim": result.pose,
        "joints2d_orig": projections[0],
        "joints2d_optim": projections[1],
        "camera_orig": clip.camera,
        "camera_optim": result.camera,
        "scale": clip.scale,
        "origin": clip.origin,
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
        write_pictures(folder, clip, result, projections)


def write_pictures(
    folder: pathlib.Path,
    clip: Clip,
    result: ClipResult,
    projections: Sequence[np.ndarray],
) -> None:
    """Writes a sheet of the pair in the middle, and a video of both poses and flows.

    Args:
      folder: Of the clip.
      clip: The clip.
      result: What was made of it.
      projections: Joints of the original and of the optimised poses, pixels.
    """
    middle = (clip.num_frames - 1) // 2
    longest = max(
        float(np.linalg.norm(flows[middle], axis=-1).max())
        for flows in (*result.flows, [result.target] * (middle + 1))
    )
    rows = [_frame(clip, projections, middle)]
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
            pictures = [_frame(clip, projections, t)]
            reach = max(
                float(np.linalg.norm(f[t], axis=-1).max()) for f in result.flows
            )
            for flows in (result.flows[0], result.flows[-1]):
                pictures.append(render.flow_to_image(flows[t], max_length=reach))
            yield render.frame_row(
                pictures, ["poses", "flow before", "flow after"], height=256
            )

    render.write_video(folder / "clip.mp4", frames(), clip.fps)


def _frame(clip: Clip, projections: Sequence[np.ndarray], t: int) -> np.ndarray:
    """A frame with the skeletons of the original and of the optimised pose."""
    picture = clip.images[t]
    for joints, color in zip(projections, (ORIGINAL, OPTIMISED), strict=True):
        picture = render.draw_skeleton(
            picture,
            joints[t],
            chains=LSP_FLOW_BONES,
            line_color=color,
            joint_colors=color,
        )
    return picture
