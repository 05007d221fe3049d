"""The systems of posejax: one file each, and the literal table that names them.

A row is a function that imports its system when it is asked for.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from posejax.typing import Task, TaskData


@dataclasses.dataclass(frozen=True)
class System:
    """What the procedures need to know of a system.

    Attributes:
      make_task: `(config, data_dir) -> Task`.
      make_data: `(config, data_dir) -> TaskData`, the share of this process.
      settings: Module with what only this system's own procedures use.
    """

    make_task: Callable[..., Task]
    make_data: Callable[..., TaskData]
    settings: Any = None


def _template_warp() -> System:
    from posejax.tasks import template_warp, template_warp_data

    return System(
        template_warp.make_task, template_warp_data.make_data, template_warp_data
    )


TASKS: Mapping[str, Callable[[], System]] = {"template_warp": _template_warp}
