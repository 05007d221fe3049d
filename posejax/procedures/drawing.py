"""The pictures that an evaluation leaves behind; what they show is the system's."""

import pathlib
from typing import Any

import jax
import numpy as np

from posejax import render
from posejax.procedures.run import Opened
from posejax.tasks import Overlays, Panel
from posejax.typing import Batch, Task, TaskData, Tree

OVERLAYS = 8  # frames in the picture of predicted joints
ROWS = 4  # frames of which a row shows what the model makes of them
SIDE = 192  # pixels to which small frames are enlarged


def write_split_pictures(
    directory: pathlib.Path,
    opened: Opened,
    data: TaskData,
    split: str,
    *,
    task: Task,
    params: Tree,
    model_state: Tree,
) -> None:
    """Writes `<split>_joints.png` and `<split>_rows.png` where the system has them.

    Args:
      directory: Where to.
      opened: The run.
      data: Its data, of which the first batch of the split is drawn.
      split: Name of the split.
      task: The system.
      params: Parameters.
      model_state: The rest of the model.
    """
    system = opened.system
    if system.overlays is None and system.rows is None:
        return
    batch = next(data.splits[split]())
    if system.overlays is not None:
        shown = {**data.resident, **spread(batch, OVERLAYS)}
        predictions = jax.jit(task.predict)(params, model_state, shown)
        joints = overlay_grid(system.overlays(predictions, shown))
        render.write_png(directory / f"{split}_joints.png", joints)
    if system.rows is not None:
        shown = {**data.resident, **spread(batch, ROWS)}
        rows = system.rows(task, params, model_state, shown)
        drawn = [
            render.frame_row(
                [draw_panel(panel, system.chains) for panel in row],
                [panel.caption for panel in row],
            )
            for row in rows
        ]
        render.write_png(directory / f"{split}_rows.png", render.stack_rows(drawn))


def write_run_pictures(directory: pathlib.Path, opened: Opened) -> None:
    """Writes `template.png` and `losses.png`, as far as the run has them."""
    if opened.system.template is not None:
        template = opened.system.template(opened.config)
        render.write_figure(
            directory / "template.png", render.template_figure(template)
        )
    log = opened.workdir / "metrics.jsonl"
    curves = render.read_metrics(log) if log.is_file() else {}
    # Figures of evaluations are named split/figure; the norm is no term of the loss.
    terms = {k: v for k, v in curves.items() if "/" not in k and k != "grad_norm"}
    if terms:
        title = f"{opened.workdir.name}, {opened.data_used} data"
        figure = render.curve_figure(terms, title=title)
        render.write_figure(directory / "losses.png", figure)


def spread(batch: Batch, count: int) -> Batch:
    """Returns a few frames of a padded batch, evenly spread."""
    valid = np.flatnonzero(batch["valid"])
    places = np.linspace(0, len(valid) - 1, min(count, len(valid)))
    chosen = valid[places.astype(int)]
    return {name: np.asarray(value)[chosen] for name, value in batch.items()}


def overlay_grid(found: Overlays) -> np.ndarray:
    """Draws the truth in the upper row and the prediction below."""
    rows = []
    for joints in (found.target, found.predicted):
        for i, image in enumerate(found.images):
            large, placed = _enlarged(image, joints[i])
            shown = found.valid[i] if joints is found.target else None
            rows.append(
                render.draw_skeleton(large, placed, chains=found.chains, valid=shown)
            )
    return render.image_grid(np.stack(rows), columns=len(found.images))


def draw_panel(panel: Panel, chains: Any) -> np.ndarray:
    """Draws one panel: heat map over picture, joints over both."""
    heat = None if panel.heat is None else np.asarray(panel.heat)[..., None]
    if panel.image is not None:
        image = render.as_uint8(np.asarray(panel.image))
        image = image if heat is None else render.heatmap_overlay(image, heat)
    elif heat is not None:
        image = render.template_heatmap(heat, color_map="inferno")
    else:
        raise ValueError(
            f"panel {panel.caption!r} has neither image nor heat; give one of them."
        )
    nowhere = np.zeros((0, 2))
    joints = nowhere if panel.joints is None else np.asarray(panel.joints)
    large, placed = _enlarged(image, joints)
    if panel.joints is None:
        return large
    colors = render.distinct_colors(len(placed))
    return render.draw_skeleton(large, placed, chains=chains, joint_colors=colors)


def _enlarged(image: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Small crops are enlarged, or a dot would hide a limb.
    factor = max(1, round(SIDE / image.shape[0]))
    return render.enlarge(image, joints, factor=factor)
