"""Human3.6M as posture_pose needs it: poses and detections, no pictures."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import pose_records
from datasets.base import OrderedBuilder
from datasets.human36m.tree import TEST_SUBJECTS
from datasets.human36m_poses import raw

SOURCE = (
    "Human3.6M (Ionescu et al. 2014), vision.imar.ro/human3.6m: for academic use by "
    "registered persons; neither the files nor these poses may be handed on."
)


class Builder(OrderedBuilder):
    """Poses of Human3.6M at 50 Hz; train S1, S5-S8, test S9, S11.

    The poses are those of vision.imar.ro/human3.6m, whose licence is for academic use
    by registered persons. `manual_dir` holds the files that VideoPose3D's scripts make
    of them, or the same converted to plain arrays (`python -m datasets.convert`)::

        data_3d_h36m.npz                  joints in the world
        data_2d_h36m_<detector>.npz       any number: gt, cpn_ft_h36m_dbb, hr, ...

    Files as published are pickles and need `--allow_pickle`; the reader rebuilds arrays
    and runs no code. In place of the first file the owners' archives will do,
    Poses_D3_Positions of each subject unpacked at one place::

        S1/MyPoseFeatures/D3_Positions/Walking 1.cdf ...

    A record is one action of one subject with all four cameras (`pose_records`).
    Without a file of exact keypoints (`gt`) the reader projects the joints. Detections
    of subjects without poses (S2, S3, S4) are left out.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="poses", description="All actions, 50 Hz.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put data_3d_h36m.npz and data_2d_h36m_<detector>.npz into a folder and pass "
        "it as --manual_dir (datasets/README.md)."
    )
    allow_pickle: bool = False

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=pose_records.pose_features(),
            description="Poses and detections of Human3.6M.",
            homepage="http://vision.imar.ro/human3.6m/",
            citation=(
                "Ionescu, Papava, Olaru, Sminchisescu: Human3.6M, IEEE TPAMI 36(7), "
                "2014"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        made = raw.open_poses(
            pathlib.Path(dl_manager.manual_dir), allow_pickle=self.allow_pickle
        )
        splits = pose_records.split_by_subject(made, test_subjects=TEST_SUBJECTS)
        self.set_metadata(pose_records.pose_metadata(made, splits, source=SOURCE))
        return pose_records.record_streams(splits, tuple(made.layouts))

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")
