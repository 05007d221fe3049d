"""The embedded sample of optical flow: drawn pairs with exact motion."""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder
from datasets.flow_sample.drawing import drawn_pair
from datasets.people_sample.cameras import CAMERAS, IMAGE_SIZE
from datasets.people_sample.flow import forward_flow
from datasets.people_sample.motion import ACTIONS
from datasets.people_sample.processes import num_processors, processed
from datasets.people_sample.takes import NUM_FRAMES, draw, make_take, video_name
from datasets.people_sample.wardrobe import TEST, TRAIN
from datasets.records import encode_png

SOURCE = (
    "drawn by posejax (datasets/flow_sample, datasets/people_sample): textures, shapes "
    "and articulated people; no recording of anything; Apache-2.0"
)
SEEDS = {"train": 1, "test": 2}
# How many frames of 1/25 s lie between the two: from nearly still to fast.
GAPS = (1, 2, 4, 8)
CENTER_JITTER_PX = 20


@dataclasses.dataclass(kw_only=True)
class SampleConfig(tfds.core.BuilderConfig):
    """A form of the sample.

    Attributes:
      height: Of the pairs, pixels.
      width: Of the pairs, pixels.
      layers: Pairs of moving layers, for training and to test.
      people: Pairs of moving people, for training and to test.
      tiny: Whether it is a few pairs only, for tests.
    """

    height: int
    width: int
    layers: tuple[int, int]
    people: tuple[int, int]
    tiny: bool = False


class Job(NamedTuple):
    """One pair to draw.

    Attributes:
      kind: `layers` or `people`.
      split: `train` or `test`.
      index: Number of the pair among those of its kind and split.
      height: Pixels.
      width: Pixels.
    """

    kind: str
    split: str
    index: int
    height: int
    width: int


class Builder(OrderedBuilder):
    """Moving layers with textures, and moving people before a resting background.

    The flow is exact and known at every pixel, also where the point is hidden in the
    second picture. `layers` are `datasets.flow_sample.drawing.drawn_pair`; `people` are
    windows of the frames of `people_sample`, one to eight frames apart, without JPEG.
    `test` has other layers, and other people. Nothing is downloaded; every pixel is a
    function of the code alone.

    Licence: Apache-2.0, as the code that draws it.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012 - a TFDS field
    BUILDER_CONFIGS = [  # noqa: RUF012 - a TFDS field
        SampleConfig(
            name="pairs",
            description="1800 pairs to train on, 140 to test, 224 x 160.",
            height=160,
            width=224,
            layers=(1500, 100),
            people=(300, 40),
        ),
        SampleConfig(
            name="tiny",
            description="8 pairs to train on, 3 to test, 96 x 64, for tests.",
            height=64,
            width=96,
            layers=(6, 2),
            people=(2, 1),
            tiny=True,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(), description=Builder.__doc__
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager
        jobs = {split: jobs_of(self.builder_config, split) for split in SEEDS}
        folders = {
            split: {
                kind: sum(job.kind == kind for job in group)
                for kind in ("layers", "people")
            }
            for split, group in jobs.items()
        }
        metadata = flow_records.flow_metadata(folders, sparse=False, source=SOURCE)
        self.set_metadata(metadata)
        # Starting processes takes longer than drawing a few pairs.
        alone = self.builder_config.tiny
        workers = 1 if alone else self.num_workers or num_processors()
        return {
            split: flow_records.numbered(
                processed(drawn_record, group, num_workers=workers),
                metadata["sizes"][split],
            )
            for split, group in jobs.items()
        }

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def jobs_of(config: SampleConfig, split: str) -> list[Job]:
    """Returns what is drawn for a split, in the order of the records."""
    which = list(SEEDS).index(split)
    return [
        Job(kind, split, index, config.height, config.width)
        for kind, counts in (("layers", config.layers), ("people", config.people))
        for index in range(counts[which])
    ]


def drawn_record(job: Job) -> flow_records.Record:
    """Draws one pair; a function of its argument alone."""
    if job.kind == "people":
        return people_record(job)
    pair = drawn_pair(
        job.index, height=job.height, width=job.width, seed=SEEDS[job.split]
    )
    return flow_records.flow_record(
        name=f"layers/{job.index:05d}",
        image_1=encode_png(pair.image_1),
        image_2=encode_png(pair.image_2),
        flow=pair.flow,
    )


def people_record(job: Job) -> flow_records.Record:
    """Draws a person twice and cuts a window about where the person is.

    Args:
      job: A pair of the kind `people`, at most 256 x 256.
    """
    # The third number keeps these draws apart from those of the layers.
    rng = np.random.default_rng([SEEDS[job.split], job.index, 1])
    people = TRAIN if job.split == "train" else TEST
    person = people[job.index % len(people)]
    action = ACTIONS[rng.integers(len(ACTIONS))]
    camera = CAMERAS[rng.integers(len(CAMERAS))]
    gap = int(rng.choice(GAPS))
    start = int(rng.integers(NUM_FRAMES - gap))
    take = make_take(person, action, np.array([start, start + gap]))
    frames = [draw(take, i, camera) for i in (0, 1)]
    joints, rotations = take.motion.joints, take.motion.rotations
    flow = forward_flow(
        take.solids,
        camera,
        frames[0].surface,
        frames[0].mask,
        (joints[0], rotations[0]),
        (joints[1], rotations[1]),
    )
    window = _window(rng, frames[0].box.mean(axis=0), (job.height, job.width))
    video = video_name(action, camera)
    return flow_records.flow_record(
        name=f"people/{person.name}/{video}/{start:04d}-{start + gap:04d}",
        image_1=encode_png(np.ascontiguousarray(frames[0].image[window])),
        image_2=encode_png(np.ascontiguousarray(frames[1].image[window])),
        flow=flow[window],
    )


def _window(
    rng: np.random.Generator, center: np.ndarray, size: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a window about a point (x, y), moved into the frame."""
    jittered = center[::-1] + rng.uniform(-CENTER_JITTER_PX, CENTER_JITTER_PX, 2)
    starts = np.clip(
        np.rint(jittered - np.array(size) / 2), 0, IMAGE_SIZE - np.array(size)
    ).astype(int)
    rows, columns = (slice(s, s + n) for s, n in zip(starts, size, strict=True))
    return rows, columns
