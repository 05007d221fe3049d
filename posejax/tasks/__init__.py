"""The systems of posejax: one task each, and the literal table that names them.

A row is a function that imports its system when it is asked for.
"""

from collections.abc import Callable, Mapping

from posejax.tasks.contract import Overlays as Overlays
from posejax.tasks.contract import Panel as Panel
from posejax.tasks.contract import System as System


def _template_warp() -> System:
    from posejax.skeletons import TEMPLATE_15
    from posejax.tasks import (
        template_warp,
        template_warp_checkpoint,
        template_warp_data,
        template_warp_rows,
    )
    from posejax.templates import SKELETON_CHAINS

    return System(
        make_task=template_warp.make_task,
        make_data=template_warp_data.make_data,
        columns=template_warp_data.COLUMNS,
        skeleton=TEMPLATE_15.name,
        chains=SKELETON_CHAINS,
        overlays=template_warp_data.overlays,
        note=template_warp_data.note,
        data_sets=template_warp_data.DATA_SETS,
        variables=template_warp_checkpoint.variables,
        rows=template_warp_rows.rows,
        template=template_warp_rows.template,
        model_figures=("consistency", "proportion_deviation", "frames_without_torso"),
    )


TASKS: Mapping[str, Callable[[], System]] = {"template_warp": _template_warp}
