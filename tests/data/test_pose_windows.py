"""Windows, flips and streams against stored batches, and what has to hold for any."""

import itertools

import numpy as np
import pytest

from posejax.data import pose_windows as windows
from posejax.data.h36m_cameras import h36m_camera
from posejax.data.pose_cameras import project_points
from posejax.data.pose_files import LAYOUTS
from posejax.skeletons import H36M_17
from tests import fill

ORDER = H36M_17.mirror()


class Stored:
    """The stored sequences, one behind another, and the windows taken from them."""

    def __init__(self):
        self.arrays, self.meta = fill.golden("generators", system="posture_pose")
        self.poses_2d = [self.arrays[f"in/poses2d_{k}"] for k in range(8)]
        self.poses_3d = [self.arrays[f"in/poses3d_{k}"] for k in range(8)]
        self.lengths = np.array([len(pose) for pose in self.poses_2d])
        self.offsets = np.cumsum(self.lengths) - self.lengths

    def gather(self, poses, entries, *, size, before):
        sequence, start = entries[:, 0], entries[:, 1]
        indices = windows.window_indices(
            start,
            self.lengths[sequence],
            self.offsets[sequence],
            size=int(size),
            before=before,
        )
        found = np.concatenate(poses)[indices]
        mirrored = entries[:, 3, None, None, None] == 1
        return np.where(mirrored, windows.flip_poses(found, ORDER), found)

    def batch(self, entries, case):
        pad, shift = case["pad"], case["causal_shift"]
        chunk = entries[0, 2] - entries[0, 1]
        camera = self.arrays["in/intrinsic"][entries[:, 0]]
        return {
            "2d": self.gather(
                self.poses_2d, entries, size=chunk + 2 * pad, before=pad + shift
            ),
            "3d": self.gather(self.poses_3d, entries, size=chunk, before=0),
            "cam": np.where(
                entries[:, 3:] == 1, windows.flip_intrinsics(camera), camera
            ),
        }


@pytest.fixture(scope="module")
def stored():
    return Stored()


def keys_of(arrays, prefix):
    found = [name for name in arrays if name.startswith(f"out/{prefix}")]
    assert found
    return found


@pytest.mark.golden
@pytest.mark.parametrize("name", ["chunk1", "chunk3", "causal", "chunk2_flip"])
def test_chunks_and_their_windows_are_the_stored_ones(stored, name):
    case = stored.meta["cases"][name]
    entries = windows.chunk_entries(
        stored.lengths, chunk_length=case["chunk_length"], flip=case["augment"]
    )
    np.testing.assert_array_equal(entries, stored.arrays[f"out/{name}/pairs"])
    assert len(entries) == case["samples"]
    size = case["batch_size"]
    assert windows.num_batches(len(entries), size) == case["steps"]
    for key in keys_of(stored.arrays, f"{name}/batch"):
        number, array = key.split("/")[-2:]
        start = int(number.removeprefix("batch")) * size
        found = stored.batch(entries[start : start + size], case)[array]
        np.testing.assert_allclose(found, stored.arrays[key], rtol=0, atol=1e-12)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["unchunked", "unchunked_flip", "unchunked_causal"])
def test_whole_sequences_are_windows_of_their_own_length(stored, name):
    case = stored.meta["cases"][name]
    for key in keys_of(stored.arrays, f"{name}/"):
        number, array = key.split("/")[-2:]
        sequence = case["sequences"][int(number)]
        length = stored.lengths[sequence]
        entries = np.array([[sequence, 0, length, 0], [sequence, 0, length, 1]])
        found = stored.batch(entries[: 1 + case["augment"]], case)[array]
        np.testing.assert_allclose(found, stored.arrays[key], rtol=0, atol=1e-12)


@pytest.mark.golden
def test_the_stored_left_and_right_joints_are_those_of_the_layout(stored):
    layout = LAYOUTS["h36m"]
    assert list(layout.left) == stored.meta["kps_left"]
    assert list(layout.right) == stored.meta["kps_right"]
    np.testing.assert_array_equal(layout.mirror(), ORDER)


@pytest.mark.parametrize("chunk_length", [1, 2, 3, 5, 8])
def test_chunks_cover_every_frame_once_and_stand_out_evenly(chunk_length):
    lengths = [1, 4, 7, 9]
    entries = windows.chunk_entries(lengths, chunk_length=chunk_length)
    for sequence, length in enumerate(lengths):
        rows = entries[entries[:, 0] == sequence]
        frames = np.concatenate([np.arange(*row[1:3]) for row in rows])
        assert np.array_equal(frames, np.arange(frames[0], frames[0] + len(frames)))
        before, after = -frames[0], frames[-1] + 1 - length
        assert 0 <= before <= after <= before + 1
        assert len(frames) < length + chunk_length


def test_a_mirrored_camera_sees_the_mirrored_person_mirrored():
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 17, 3))
    points[..., 2] += 4
    intrinsics = h36m_camera("S1", 0).intrinsics.astype(np.float64)
    there = windows.flip_poses(project_points(points, intrinsics), ORDER)
    here = project_points(
        windows.flip_poses(points, ORDER), windows.flip_intrinsics(intrinsics)
    )
    np.testing.assert_allclose(here, there, atol=1e-12)
    assert np.abs(here - project_points(points, intrinsics)).max() > 0.01


def taken(stream, count):
    return list(itertools.islice(stream, count))


def rows_of(batch):
    kept = batch["valid"]
    return list(
        zip(
            batch["sequence"][kept].tolist(),
            batch["start"][kept].tolist(),
            batch["flip"][kept].tolist(),
            strict=True,
        )
    )


def test_an_epoch_shows_every_entry_once_in_batches_of_one_shape():
    entries = windows.chunk_entries([3, 4], flip=True)
    expected = sorted((s, a, bool(f)) for s, a, _, f in entries.tolist())
    epochs = []
    stream = windows.entry_batches(entries, batch_size=4, seed=1)
    for _ in range(2):
        batches = taken(stream, windows.num_batches(len(entries), 4))
        assert {batch["start"].shape for batch in batches} == {(4,)}
        assert [int(batch["valid"].sum()) for batch in batches] == [4, 4, 4, 2]
        epochs.append([row for batch in batches for row in rows_of(batch)])
        assert sorted(epochs[-1]) == expected
    assert epochs[0] != epochs[1]


def test_a_batch_larger_than_the_epoch_is_filled_up():
    entries = windows.chunk_entries([2])
    (batch,) = taken(windows.entry_batches(entries, batch_size=5, seed=0), 1)
    assert batch["valid"].tolist() == [True, True, False, False, False]
    assert set(batch["start"].tolist()) == {0, 1}


@pytest.mark.parametrize("step", [1, 4, 9])
def test_a_stream_that_resumes_goes_on_where_it_stopped(step):
    entries = windows.chunk_entries([3, 4], flip=True)
    options = {"views": 4, "group_size": 2, "num_groups": 5, "seed": 3}
    for make in (
        lambda **at: windows.entry_batches(entries, batch_size=4, seed=3, **at),
        lambda **at: windows.group_batches(entries, **options, **at),
    ):
        whole, rest = taken(make(), step + 6)[step:], taken(make(step=step), 6)
        for one, two in zip(whole, rest, strict=True):
            assert set(one) == {"sequence", "start", "flip", "valid"}
            for name in one:
                np.testing.assert_array_equal(one[name], two[name])


def test_seeds_give_different_orders():
    orders = [windows.epoch_order(50, seed=seed, epoch=0).tolist() for seed in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == list(range(50))


@pytest.mark.parametrize(("group_size", "groups"), [(1, 4), (2, 2), (3, 1), (4, 1)])
def test_views_of_a_clip_are_cut_into_groups_without_repeats(group_size, groups):
    drawn = windows.view_groups(200, 4, group_size, seed=0, epoch=0)
    assert drawn.shape == (200, groups, group_size)
    for clip in drawn.reshape(200, -1):
        assert len(set(clip.tolist())) == groups * group_size
    # Every view is an anchor about as often as any other.
    assert np.bincount(drawn[:, 0, 0], minlength=4).min() > 25
    again = windows.view_groups(200, 4, group_size, seed=0, epoch=1)
    assert (again != drawn).any()


def test_groups_hold_views_of_one_moment_in_neighbouring_rows():
    entries = windows.chunk_entries([2, 3], flip=True)
    stream = windows.group_batches(
        entries, views=4, group_size=3, num_groups=4, seed=0, step=0
    )
    seen = []
    for batch in taken(stream, windows.num_batches(len(entries), 4)):
        assert batch["sequence"].shape == (12,)
        views = batch["sequence"].reshape(4, 3)
        recordings = views // 4
        assert (recordings == recordings[:, :1]).all()
        assert all(len(set(row)) == 3 for row in views.tolist())
        for name in ("start", "flip", "valid"):
            rows = batch[name].reshape(4, 3)
            assert (rows == rows[:, :1]).all(), name
        kept = batch["valid"].reshape(4, 3)[:, 0]
        start, flip = (batch[n].reshape(4, 3)[kept, 0] for n in ("start", "flip"))
        seen += list(
            zip(recordings[kept, 0].tolist(), start.tolist(), flip, strict=True)
        )
    assert sorted(seen) == sorted((s, a, bool(f)) for s, a, _, f in entries.tolist())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: windows.chunk_entries([3], chunk_length=0), "chunk_length is 0"),
        (lambda: windows.chunk_entries([3, 0]), "lengths is 0"),
        (lambda: windows.view_groups(1, 4, 5, seed=0, epoch=0), "group_size is 5"),
        (
            lambda: windows.entry_batches(
                windows.chunk_entries([]), batch_size=1, seed=0
            ),
            "count is 0",
        ),
        (
            lambda: windows.entry_batches(
                windows.chunk_entries([1]), batch_size=1, seed=0, step=-1
            ),
            "step is -1",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
