"""Pictures of template_warp: what the model makes of each frame."""

import jax
import numpy as np

from posejax.tasks.contract import Panel, Rows
from posejax.templates import TEMPLATES, Template
from posejax.typing import Batch, Config, Task, Tree


def rows(task: Task, params: Tree, model_state: Tree, batch: Batch) -> Rows:
    """Returns a row per frame: its joints, the moved template, the repainted frame.

    Args:
      task: The system's task.
      params: Parameters; without a translator nothing is repainted.
      model_state: The rest of the model.
      batch: As in evaluation.
    """

    def run(params: Tree, model_state: Tree, batch: Batch):
        joints = task.predict(params, model_state, batch).joints
        if task.pictures is None or "translator" not in params:
            return joints, {}
        return joints, task.pictures(params, model_state, batch)

    joints, shown = jax.device_get(jax.jit(run)(params, model_state, batch))
    found = []
    for i, pose in enumerate(np.asarray(joints, np.float64)):
        frame = np.asarray(batch["frame_1"][i])
        row = [Panel("frame 1, joints", frame, joints=pose)]
        if shown:
            heat = shown["warped_template"][i, ..., 0]
            row.append(Panel("template over frame 1", frame, heat=heat))
            if "template_after_step_1" in shown:
                first = shown["template_after_step_1"][i, ..., 0]
                row.append(Panel("template, first step", None, heat=first))
            row.append(Panel("moved template", None, heat=heat))
            repainted = shown["reconstruction"][i]
            row += [
                Panel("frame 2", np.asarray(batch["frame_2"][i])),
                Panel("frame 1 repainted", repainted),
                Panel("repainted, joints", repainted, joints=pose),
            ]
        found.append(row)
    return found


def template(config: Config) -> Template:
    """Returns the body template that a run moves."""
    return TEMPLATES[config.template]
