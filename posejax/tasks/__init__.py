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
        data_sets=posture_pose_data.DATA_SETS,
        variables=posture_pose.variables,
    )


def _raft() -> System:
    from posejax.tasks import raft, raft_data

    return System(
        make_task=raft.make_task,
        make_data=raft_data.make_data,
        columns=raft.COLUMNS,
        skeleton="",
        chains=(),
        data_sets=raft_data.DATA_SETS,
        variables=raft.variables,
    )


def _flow_pose() -> System:
    from posejax.skeletons import LSP_14
    from posejax.tasks import flow_pose, flow_pose_data

    return System(
        make_task=flow_pose.make_task,
        make_data=flow_pose_data.make_data,
        columns={},
        skeleton=LSP_14.name,
        chains=(),
        data_sets=flow_pose_data.DATA_SETS,
    )


TASKS: Mapping[str, Callable[[], System]] = {
    "template_warp": _template_warp,
    "posture_pose": _posture_pose,
    "raft": _raft,
    "flow_pose": _flow_pose,
}
