"""What the procedures need to know of a system beside its `Task`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posejax.templates import Template
from posejax.typing import Batch, Config, Task, TaskData, Tree


class Overlays(NamedTuple):
    """Joints to be drawn over pictures.

    Attributes:
      images: `(batch, height, width, 3)` uint8 RGB.
      predicted: `(batch, joints, 2)` pixels of `images`.
      target: The true joints.
      valid: `(batch, joints)`, which of the true joints are known.
      chains: Joint indices that are drawn as lines.
    """

    images: np.ndarray
    predicted: np.ndarray
    target: np.ndarray
    valid: np.ndarray
    chains: Sequence[Sequence[int]]


class Panel(NamedTuple):
    """One picture of a captioned row, and what is drawn over it.

    Attributes:
      caption: What it shows.
      image: `(height, width, 3)` RGB, uint8 or float in 0..1; None shows `heat` alone.
      heat: `(height, width)` in 0..1, laid over `image` as a heat map.
      joints: `(joints, 2)` pixels of the panel, drawn with the system's chains.
    """

    caption: str
    image: np.ndarray | None
    heat: np.ndarray | None = None
    joints: np.ndarray | None = None


Rows = Sequence[Sequence[Panel]]


@dataclasses.dataclass(frozen=True)
class System:
    """One row of the table of systems.

    Attributes:
      make_task: `(config, data_dir) -> Task`.
      make_data: `(config, data_dir) -> TaskData`, the share of this process.
      columns: Figure to heading with unit: the columns of the printed table.
      skeleton: Name of the joint set of `predictions.joints`, in `SKELETONS`.
      chains: Joint indices that are drawn as lines.
      overlays: `(predictions, batch) -> Overlays`; None draws nothing.
      note: `(config)` -> what a reader of the figures must know, or ''.
      variables: `(config) -> (params, model_state)`: shapes of what a checkpoint must
        hold to be used, as `Checkpoints.restore_variables` compares them; None takes
        what is there.
      rows: `(task, params, model_state, batch) -> Rows`: what the model makes of each
        of a few frames; None draws nothing.
      template: `(config)` -> the body template of the run, to be drawn; None if the
        system has none.
      data_sets: Data sets that the system can read, each with its builder
        configurations; empty: whatever is prepared.
      model_figures: Figures that mean nothing for a baseline (a constant prediction is
        perfectly consistent); its rows leave them out.
    """

    make_task: Callable[..., Task]
    make_data: Callable[..., TaskData]
    columns: Mapping[str, str]
    skeleton: str
    chains: Sequence[Sequence[int]]
    overlays: Callable[[Any, Any], Overlays] | None = None
    note: Callable[[Config], str] = lambda config: ""
    variables: Callable[[Config], tuple[Tree, Tree]] | None = None
    rows: Callable[[Task, Tree, Tree, Batch], Rows] | None = None
    template: Callable[[Config], Template] | None = None
    data_sets: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    model_figures: Sequence[str] = ()
