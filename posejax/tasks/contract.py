"""What the procedures need to know of a system beside its `Task`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from posejax.typing import Config, Task, TaskData


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
    """

    make_task: Callable[..., Task]
    make_data: Callable[..., TaskData]
    columns: Mapping[str, str]
    skeleton: str
    chains: Sequence[Sequence[int]]
    overlays: Callable[[Any, Any], Overlays] | None = None
    note: Callable[[Config], str] = lambda config: ""
