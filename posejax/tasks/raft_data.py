"""The data of RAFT's training: a mix of sets of pairs, and sets to evaluate on."""

from posejax.checks import require_choice
from posejax.data import pipeline
from posejax.data.flow_loaders import EvaluatedSet, MixPart
from posejax.data.flow_pairs import flow_pairs_data
from posejax.typing import Config, TaskData

DATA_SETS = {
    "flying_chairs": ("pairs",),
    "flying_things": ("clean", "final"),
    "sintel": ("clean", "final"),
    "kitti_flow": ("pairs",),
    "hd1k": ("pairs",),
    "flow_sample": ("pairs", "tiny"),
}


def make_data(config: Config, data_dir: str) -> TaskData:
    """Opens the prepared sets that `config` names, for this process.

    Args:
      config: See `configs/bases/raft.py`.
      data_dir: Folder of the prepared data sets.

    Raises:
      FileNotFoundError: a set to evaluate on is not prepared.
      ValueError: a name that is not among the parts or tests, a crop whose sides are
        no multiples of 8, a batch that the processes and devices cannot share.
    """
    import jax

    height, width = config.data.crop
    if height % 8 or width % 8:
        raise ValueError(
            f"config.data.crop is {(height, width)}; expected multiples of 8."
        )
    for name, size in (
        ("config.batch_size", config.batch_size),
        ("config.evaluation.batch_size", config.evaluation.batch_size),
    ):
        if size % jax.device_count():
            raise ValueError(
                f"{name} is {size}; expected a multiple of the {jax.device_count()} "
                "devices."
            )
    data = flow_pairs_data(
        data_dir,
        mix=[_part(config, name) for name in config.data.mix],
        evaluated={name: _test(config, name) for name in config.data.evaluated},
        crop=(height, width),
        batch_size=config.batch_size,
        seed=config.seed,
        evaluation_batch_size=config.evaluation.batch_size,
        reading=pipeline.Reading(
            num_threads=config.data.num_threads,
            num_workers=config.data.num_workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ),
    )
    return TaskData(
        train=data.train,
        splits=data.splits,
        steps_per_epoch=data.steps_per_epoch,
        description=data.description,
    )


def _part(config: Config, name: str) -> MixPart:
    parts = config.data.parts
    part = parts[require_choice("config.data.mix", name, parts)]
    return MixPart(
        name=part.name,
        config=part.config,
        repeats=part.repeats,
        log2_scale=tuple(part.log2_scale),
        use_flips=part.flips,
        erased_px=tuple(part.erased_px),
    )


def _test(config: Config, name: str) -> EvaluatedSet:
    tests = config.data.tests
    test = tests[require_choice("config.data.evaluated", name, tests)]
    return EvaluatedSet(
        name=test.name,
        config=test.config,
        split=test.split,
        padding="kitti" if test.name == "kitti_flow" else "sintel",
    )
