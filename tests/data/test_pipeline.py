"""Batches: what is in them, their order, resuming, sharing, and damaged records."""

import itertools

import numpy as np
import pytest

from posejax.data import pipeline, source

SIZE = 32
SERIAL = pipeline.Reading(num_threads=0)


@pytest.fixture
def train_frames(drawn_dir):
    return source.open_source(str(drawn_dir), "drawn", split="train")


@pytest.fixture
def held_out_frames(drawn_dir):
    return source.open_source(str(drawn_dir), "drawn", split="test")


def stream(frames, *, batch_size=4, seed=0, step=0, reading=SERIAL, pairing="all"):
    return pipeline.train_batches(
        frames,
        pairing=pairing,
        image_size=SIZE,
        batch_size=batch_size,
        seed=seed,
        step=step,
        reading=reading,
    )


def take(count, batches):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def indices(batch, name="frame_1"):
    """The red level of a drawn crop is its index."""
    return batch[name][:, 0, 0, 0].tolist()


def joined_indices(batches, name="frame_1"):
    return [index for batch in batches for index in indices(batch, name)]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_training_batch_holds_pairs_as_stored(train_frames, image_of):
    (batch,) = take(1, stream(train_frames))
    assert batch["frame_1"].shape == batch["frame_2"].shape == (4, SIZE, SIZE, 3)
    assert batch["frame_1"].dtype == batch["frame_2"].dtype == np.uint8
    for row, (first, second) in enumerate(
        zip(indices(batch), indices(batch, "frame_2"), strict=True)
    ):
        assert second == first + 1
        np.testing.assert_array_equal(batch["frame_1"][row], image_of(first))
        np.testing.assert_array_equal(batch["frame_2"][row], image_of(second))


def test_an_epoch_has_every_pair_once_but_the_last_partial_batch(train_frames):
    # 3 + 3 + 2 pairs
    batches = take(8, stream(train_frames, batch_size=3))
    for epoch in range(4):
        seen = joined_indices(batches[2 * epoch : 2 * epoch + 2])
        assert len(set(seen)) == 6
        assert set(seen) <= {0, 2, 4, 7, 9, 11, 13, 15}
    everything = {i for batch in batches for i in indices(batch)}
    assert everything == {0, 2, 4, 7, 9, 11, 13, 15}


def test_the_order_changes_with_epoch_and_seed(train_frames):
    one, two, three = (
        [indices(b) for b in take(3, stream(train_frames, batch_size=8, seed=seed))]
        for seed in (0, 0, 1)
    )
    assert one == two
    assert one != three
    assert one[0] != one[1]
    assert one[1] != one[2]
    assert sorted(one[0]) == sorted(one[1]) == sorted(three[0])


def test_flips_mirror_both_frames(train_frames, image_of):
    batches = take(1, stream(train_frames, batch_size=10, pairing="half_and_flips"))
    (batch,) = batches
    mirrored = batch["frame_1"][:, 0, 0, 1] > batch["frame_1"][:, 0, -1, 1]
    assert mirrored.sum() == 5
    for row, index in enumerate(indices(batch)):
        step = -1 if mirrored[row] else 1
        for name, i in (("frame_1", index), ("frame_2", index + 1)):
            np.testing.assert_array_equal(batch[name][row], image_of(i)[:, ::step])


def test_images_are_resized(train_frames):
    data = pipeline.train_batches(
        train_frames,
        pairing="all",
        image_size=8,
        batch_size=2,
        seed=0,
        reading=SERIAL,
    )
    (batch,) = take(1, data)
    assert batch["frame_1"].shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(batch["frame_1"][0, :, 1, 1], 22)  # of 16 20 24 28


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_resumed_stream_goes_on_with_the_next_batch(train_frames, step):
    resumed = take(2, stream(train_frames, batch_size=3, step=step))
    if step < 10:
        assert_same(resumed, take(step + 2, stream(train_frames, batch_size=3))[step:])
    assert_same(resumed, take(3, stream(train_frames, batch_size=3, step=step - 1))[1:])


@pytest.mark.parametrize("num_threads", [None, 1, 3])
def test_the_number_of_threads_changes_nothing(train_frames, num_threads):
    reading = pipeline.Reading(num_threads=num_threads)
    assert_same(
        take(7, stream(train_frames, batch_size=3, reading=reading)),
        take(7, stream(train_frames, batch_size=3)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_number_of_worker_processes_changes_nothing(train_frames, num_workers):
    reading = pipeline.Reading(num_workers=num_workers)
    assert_same(
        take(5, stream(train_frames, batch_size=3, step=3, reading=reading)),
        take(5, stream(train_frames, batch_size=3, step=3)),
    )


@pytest.mark.parametrize("process_count", [2, 3])
def test_the_shares_of_the_hosts_join_to_the_batch_of_one(train_frames, process_count):
    # Six of the eight pairs of an epoch are used; five steps cross its end.
    whole = take(5, stream(train_frames, batch_size=6, step=1))
    shares = [
        take(
            5,
            stream(
                train_frames,
                batch_size=6,
                step=1,
                reading=pipeline.Reading(
                    num_threads=0, process_index=i, process_count=process_count
                ),
            ),
        )
        for i in range(process_count)
    ]
    joined = [
        {key: np.concatenate([share[key] for share in row]) for key in row[0]}
        for row in zip(*shares, strict=True)
    ]
    assert_same(joined, whole)


def evaluate(frames, *, batch_size=4, size=SIZE, reading=SERIAL):
    return list(
        pipeline.evaluation_batches(
            frames, image_size=size, batch_size=batch_size, reading=reading
        )
    )


def test_evaluation_has_every_frame_once_in_order(held_out_frames):
    batches = evaluate(held_out_frames)
    assert [b["frame_1"].shape[0] for b in batches] == [4, 4, 4]
    valid = np.concatenate([b["valid"] for b in batches])
    index = np.concatenate([b["index"] for b in batches])
    assert valid.tolist() == [True] * 10 + [False] * 2
    assert index[valid].tolist() == list(range(10))
    assert joined_indices(batches) == index.tolist()


def test_frame_two_of_evaluation_is_the_next_of_the_folder(held_out_frames):
    batches = evaluate(held_out_frames)
    second = joined_indices(batches, "frame_2")
    assert second[:10] == [1, 2, 3, 0, 4, 6, 7, 8, 9, 5]


def test_labels_of_evaluation_are_in_pixels_of_the_resized_crop(held_out_frames):
    batch = evaluate(held_out_frames, size=16)[1]  # frames 4 to 7, scale one half
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {
        "frame_1": ("uint8", (4, 16, 16, 3)),
        "frame_2": ("uint8", (4, 16, 16, 3)),
        "joints": ("float32", (4, 15, 2)),
        "joint_valid": ("bool", (4, 15)),
        "diagonal": ("float32", (4,)),
        "crop_matrix": ("float32", (4, 2, 3)),
        "valid": ("bool", (4,)),
        "index": ("int32", (4,)),
    }
    np.testing.assert_allclose(
        batch["crop_matrix"][0], [[0.25, 0, 0.5], [0, 0.25, -1.0]]
    )
    # hipR is joint 6: source (6 + 5, 106) in frame 5
    np.testing.assert_allclose(batch["joints"][1, 1], [11 / 4 + 0.5, 106 / 4 - 1])
    assert batch["joint_valid"].sum(axis=1).tolist() == [14] * 4
    assert not batch["joint_valid"][0, 2]
    np.testing.assert_allclose(batch["diagonal"], np.hypot(30, 40) / 4)


@pytest.mark.parametrize("process_count", [2, 3])
def test_every_host_has_as_many_evaluation_batches(held_out_frames, process_count):
    whole = evaluate(held_out_frames, batch_size=6)
    shares = [
        evaluate(
            held_out_frames,
            batch_size=6,
            reading=pipeline.Reading(
                num_threads=2, process_index=i, process_count=process_count
            ),
        )
        for i in range(process_count)
    ]
    joined = [
        {key: np.concatenate([share[key] for share in row]) for key in row[0]}
        for row in zip(*shares, strict=True)
    ]
    assert_same(joined, whole)


def test_a_batch_larger_than_the_split_is_padded(held_out_frames):
    (batch,) = evaluate(held_out_frames, batch_size=16)
    assert batch["valid"].sum() == 10
    assert batch["index"][10:].tolist() == [9] * 6


def test_hosts_that_cannot_share_a_batch_are_refused(train_frames, held_out_frames):
    reading = pipeline.Reading(process_count=4)
    for start in (
        lambda: stream(train_frames, batch_size=6, reading=reading),
        lambda: evaluate(held_out_frames, batch_size=6, reading=reading),
    ):
        with pytest.raises(ValueError, match="batch_size is 6; expected a multiple of"):
            start()


def test_a_host_number_out_of_range_is_refused():
    with pytest.raises(ValueError, match="process_index is 2; expected 0 to 1"):
        pipeline.Reading(process_index=2, process_count=2)


def test_fewer_pairs_than_a_batch_are_refused(train_frames):
    with pytest.raises(ValueError, match=r"batch_size is 9, .* has only 8 pairs in"):
        stream(train_frames, batch_size=9)


def data_of(data_dir, **options):
    return pipeline.template_pairs_data(
        str(data_dir),
        "drawn",
        pairing="all",
        image_size=SIZE,
        batch_size=3,
        seed=4,
        reading=SERIAL,
        **options,
    )


def test_the_data_of_a_run_name_themselves_and_start_streams(drawn_dir, train_frames):
    data = data_of(drawn_dir, evaluation_batch_size=5)
    assert (data.steps_per_epoch, data.num_examples) == (2, 8)
    assert "8 pairs (all) of 17 frames in 3 folders" in data.description
    assert "test: 10 frames with joints" in data.description
    assert_same(
        take(2, data.train(5)),
        take(2, stream(train_frames, batch_size=3, seed=4, step=5)),
    )
    assert len(list(data.splits["test"]())) == 2
    assert len(list(data.splits["test"]())) == 2  # again


def test_a_set_without_labels_has_no_valid_joint(tmp_path, frames_writer):
    frames_writer(tmp_path, labels=False)
    data = data_of(tmp_path)
    assert "without joints" in data.description
    assert not any(b["joint_valid"].any() for b in data.splits["test"]())


def test_a_set_without_test_split_is_not_evaluated(tmp_path, frames_writer):
    frames_writer(tmp_path, splits=("train",))
    assert data_of(tmp_path).splits == {}


def test_pixels_of_jpegs_are_close(tmp_path, frames_writer, image_of):
    frames_writer(tmp_path, extension=".jpg")
    (batch, *_) = data_of(tmp_path).splits["test"]()
    difference = batch["frame_1"][2].astype(int) - image_of(2)
    assert np.abs(difference[..., 1]).mean() < 10
