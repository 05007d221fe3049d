"""The systems of posejax: one task each, and the literal table that names them.

A row is a function that imports its system when it is asked for.
"""

from collections.abc import Callable, Mapping

from posejax.tasks.contract import Overlays as Overlays
from posejax.tasks.contract import System as System


def _template_warp() -> System:
    from posejax.skeletons import TEMPLATE_15
    from posejax.tasks import template_warp, template_warp_data
    from posejax.templates import SKELETON_CHAINS

    return System(
        make_task=template_warp.make_task,
        make_data=template_warp_data.make_data,
        columns=template_warp_data.COLUMNS,
        skeleton=TEMPLATE_15.name,
        chains=SKELETON_CHAINS,
        overlays=template_warp_data.overlays,
        note=template_warp_data.note,
    )


def _posture_pose() -> System:
    from posejax.skeletons import H36M_17
    from posejax.tasks import posture_pose, posture_pose_data, posture_pose_metrics

    return System(
        make_task=posture_pose.make_task,
        make_data=posture_pose_data.make_data,
        columns=posture_pose_metrics.COLUMNS,
        skeleton=H36M_17.name,
        chains=(),
        note=posture_pose_data.note,
    )


TASKS: Mapping[str, Callable[[], System]] = {
    "template_warp": _template_warp,
    "posture_pose": _posture_pose,
}
