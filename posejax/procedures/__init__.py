"""What a run does: one function per verb, chosen per system in a literal table.

A verb takes a `Run` and returns what it prints. Its module is imported when it is
called, so that the command line answers `--help` at once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from posejax.checks import require_choice

Verb = Callable[[Any], Mapping[str, Any]]


def _train(run) -> Mapping[str, Any]:
    from posejax.procedures import train

    return train.train(run)


def _evaluate(run) -> Mapping[str, Any]:
    from posejax.procedures import evaluate

    return evaluate.evaluate(run)


def _predict_images(run) -> Mapping[str, Any]:
    from posejax.procedures import predict_images

    return predict_images.predict_images(run)


def _predict_poses(run) -> Mapping[str, Any]:
    from posejax.procedures import predict_poses

    return predict_poses.predict_poses(run)


def _import_template_warp(run) -> Mapping[str, Any]:
    from posejax.procedures import import_template_warp

    return import_template_warp.import_template_warp(run)


def _import_posture_pose(run) -> Mapping[str, Any]:
    from posejax.procedures import import_posture_pose

    return import_posture_pose.import_posture_pose(run)


def _predict_flow(run) -> Mapping[str, Any]:
    from posejax.procedures import predict_flow

    return predict_flow.predict_flow(run)


def _import_raft(run) -> Mapping[str, Any]:
    from posejax.procedures import import_raft

    return import_raft.import_raft(run)


def _export_weights(run) -> Mapping[str, Any]:
    from posejax.procedures import export_weights

    return export_weights.export_weights(run)


def _fit_prior(run) -> Mapping[str, Any]:
    from posejax.procedures import fit_prior

    return fit_prior.fit_prior(run)


def _optimise_clips(run) -> Mapping[str, Any]:
    from posejax.procedures import optimise_clips

    return optimise_clips.optimise_clips(run)


def _predict_clip(run) -> Mapping[str, Any]:
    from posejax.procedures import predict_clip

    return predict_clip.predict_clip(run)


def _evaluate_clips(run) -> Mapping[str, Any]:
    from posejax.procedures import optimise_clips

    return optimise_clips.evaluate_clips(run)


VERBS: Mapping[str, Mapping[str, Verb]] = {
    "template_warp": {
        "train": _train,
        "evaluate": _evaluate,
        "predict": _predict_images,
        "import_weights": _import_template_warp,
    },
    "posture_pose": {
        "train": _train,
        "evaluate": _evaluate,
        "predict": _predict_poses,
        "import_weights": _import_posture_pose,
        "fit_prior": _fit_prior,
    },
    "flow_pose": {
        "train": _optimise_clips,
        "evaluate": _evaluate_clips,
        "predict": _predict_clip,
    },
    "raft": {
        "train": _train,
        "evaluate": _evaluate,
        "predict": _predict_flow,
        "import_weights": _import_raft,
        "export_weights": _export_weights,
    },
}

# Where neither a config nor a work directory is needed: the input says what it is.
WITHOUT_CONFIG: Mapping[str, Verb] = {"import_weights": _import_template_warp}

MODES = tuple(dict.fromkeys(mode for verbs in VERBS.values() for mode in verbs))


def verb(mode: str, run) -> Verb:
    """Returns what a mode does for the system of a run.

    Raises:
      ValueError: the system or its mode is unknown.
      FileNotFoundError: there is no config to know the system from.
    """
    from posejax.procedures.run import system_of

    if run.config is None and mode in WITHOUT_CONFIG:
        return WITHOUT_CONFIG[mode]
    verbs = VERBS[system_of(run)]
    return verbs[require_choice("--mode", mode, verbs)]
