"""Batches of pairs with flow: content, order, resuming, sharing, padding."""

import itertools
import pathlib

import numpy as np
import pytest

from posejax.data import flow_loaders, flow_pairs, pipeline
from posejax.data.flow_loaders import EvaluatedSet, MixPart
from tests.datasets import fake_flow as fake

SERIAL = pipeline.Reading(num_threads=0)
SINTEL = MixPart("sintel", "clean", repeats=2, is_augmented=False)
KITTI = MixPart("kitti_flow", repeats=3, is_augmented=False)
PLAIN = (SINTEL, KITTI)
AUGMENTED = (
    MixPart("sintel", "clean", repeats=2),
    MixPart("kitti_flow", repeats=3, log2_scale=(-0.3, 0.5)),
)
CROP = (8, 12)
EVALUATED = {
    "sintel": EvaluatedSet("sintel", "clean", "train"),
    "kitti": EvaluatedSet("kitti_flow", split="train", padding="kitti"),
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data directory with both sets; read only."""
    return str(fake.prepare_pairs(tmp_path_factory.mktemp("flow")))


def data_of(data_dir, *, mix=PLAIN, batch_size=3, seed=0, reading=SERIAL, **options):
    return flow_pairs.flow_pairs_data(
        data_dir,
        mix=mix,
        evaluated=options.pop("evaluated", EVALUATED),
        crop=options.pop("crop", CROP),
        batch_size=batch_size,
        seed=seed,
        reading=reading,
        **options,
    )


def take(count, batches):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def joined(shares):
    return [
        {key: np.concatenate([share[key] for share in row]) for key in row[0]}
        for row in zip(*shares, strict=True)
    ]


def test_a_training_batch_holds_the_middle_of_pairs_that_are_not_augmented(data_dir):
    (batch,) = take(1, data_of(data_dir, mix=[SINTEL], batch_size=10).train(0))
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {
        "image_1": ("uint8", (10, 8, 12, 3)),
        "image_2": ("uint8", (10, 8, 12, 3)),
        "flow": ("float32", (10, 8, 12, 2)),
        "mask": ("bool", (10, 8, 12)),
    }
    middle = slice(1, 9), slice(1, 13)
    flows = [fake.motion(f"alley_1/{i}") for i in (1, 2, 3)]
    flows += [fake.motion(f"cave_2/{i}") for i in (1, 2)]
    expected = sorted(2 * [flow[middle].tobytes() for flow in flows])
    assert sorted(flow.tobytes() for flow in batch["flow"]) == expected
    assert batch["mask"].all()
    row = [flow.tobytes() for flow in batch["flow"]].index(flows[0][middle].tobytes())
    for key, i in (("image_1", 1), ("image_2", 2)):
        image = fake.picture(f"clean/alley_1/{i}")[middle]
        np.testing.assert_array_equal(batch[key][row], image)


def test_an_epoch_has_each_pair_as_often_as_it_is_repeated(data_dir):
    data = data_of(data_dir, batch_size=11)
    assert (data.num_examples, data.steps_per_epoch) == (5 * 2 + 4 * 3, 2)
    batches = take(4, data.train(0))
    epochs = [
        [flow.tobytes() for batch in part for flow in batch["flow"]]
        for part in (batches[:2], batches[2:])
    ]
    for epoch in epochs:
        counts = sorted(epoch.count(flow) for flow in set(epoch))
        assert counts == 5 * [2] + 4 * [3]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])


@pytest.mark.parametrize("mix", [PLAIN, AUGMENTED])
@pytest.mark.parametrize("step", [1, 6, 7, 30])
def test_a_resumed_stream_goes_on_with_the_next_batch(data_dir, mix, step):
    data = data_of(data_dir, mix=mix)
    resumed = take(2, data.train(step))
    assert_same(resumed, take(step + 2, data.train(0))[step:])


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_number_of_threads_changes_nothing(data_dir, num_threads):
    reading = pipeline.Reading(num_threads=num_threads)
    assert_same(
        take(9, data_of(data_dir, mix=AUGMENTED, reading=reading).train(0)),
        take(9, data_of(data_dir, mix=AUGMENTED).train(0)),
    )


@pytest.mark.slow
def test_worker_processes_change_nothing(data_dir):
    reading = pipeline.Reading(num_workers=2)
    assert_same(
        take(4, data_of(data_dir, mix=AUGMENTED, reading=reading).train(5)),
        take(4, data_of(data_dir, mix=AUGMENTED).train(5)),
    )


def test_the_shares_of_the_hosts_join_to_the_batch_of_one(data_dir):
    def streams(**host):
        reading = pipeline.Reading(num_threads=0, **host)
        data = data_of(
            data_dir,
            mix=AUGMENTED,
            batch_size=4,
            reading=reading,
            evaluation_batch_size=2,
        )
        return take(6, data.train(2)), list(data.splits["kitti"]())

    whole = streams()
    shares = [streams(process_index=i, process_count=2) for i in (0, 1)]
    for part in (0, 1):
        assert_same(joined([share[part] for share in shares]), whole[part])


def test_augmentation_differs_between_repetitions_epochs_and_seeds(data_dir):
    mix = [MixPart("sintel", "clean", repeats=2)]
    streams = [
        take(2, data_of(data_dir, mix=mix, batch_size=10, seed=seed).train(0))
        for seed in (0, 0, 1)
    ]
    assert_same(streams[0], streams[1])
    examples = [
        row.tobytes()
        for stream in (streams[0], streams[2])
        for batch in stream
        for row in batch["flow"]
    ]
    assert len(set(examples)) == 40


def test_sparse_flow_is_moved_and_not_interpolated(data_dir):
    mix = [MixPart("kitti_flow", log2_scale=(1.0, 1.0), use_flips=False)]
    batches = take(6, data_of(data_dir, mix=mix, batch_size=4).train(0))
    shares = np.array([row.mean() for batch in batches for row in batch["mask"]])
    # Of pictures twice as large a tenth of the pixels has a vector of its own.
    assert np.sum((shares > 0.02) & (shares < 0.2)) > 12
    sizes = ((10, 14), (18, 14), (9, 16), (18, 15))
    stored = np.concatenate(
        [
            fake.motion(str(number), size=size).ravel()
            for number, size in enumerate(sizes)
        ]
    )
    for batch in batches:
        assert not batch["flow"][~batch["mask"]].any()
        for flow, mask, share in zip(
            batch["flow"], batch["mask"], batch["mask"].mean(axis=(1, 2)), strict=True
        ):
            scale = 1 if share > 0.2 else 2
            assert np.isin(flow[mask], scale * stored).all()


def test_evaluation_has_every_pair_once_padded_to_multiples_of_eight(data_dir):
    (batches,) = (list(data_of(data_dir).splits["sintel"]()),)
    assert [b["index"].tolist() for b in batches] == [[i] for i in range(5)]
    batch = batches[3]
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {
        "image_1": ("uint8", (1, 16, 16, 3)),
        "image_2": ("uint8", (1, 16, 16, 3)),
        "flow": ("float32", (1, 16, 16, 2)),
        "mask": ("bool", (1, 16, 16)),
        "window": ("int32", (1, 4)),
        "valid": ("bool", (1,)),
        "index": ("int32", (1,)),
    }
    assert batch["window"].tolist() == [[3, 1, 10, 14]]
    inside = np.zeros((16, 16), bool)
    inside[3:13, 1:15] = True
    np.testing.assert_array_equal(batch["mask"][0], inside)
    flow = fake.motion("cave_2/1")
    np.testing.assert_array_equal(batch["flow"][0, 3:13, 1:15], flow)
    assert not batch["flow"][0][~inside].any()
    image = fake.picture("clean/cave_2/2")
    np.testing.assert_array_equal(batch["image_2"][0, 3:13, 1:15], image)
    np.testing.assert_array_equal(batch["image_2"][0, 0, 1:15], image[0])
    np.testing.assert_array_equal(batch["image_2"][0, 3:13, 15], image[:, -1])


def test_pairs_of_one_padded_size_share_batches(data_dir):
    data = data_of(data_dir, evaluation_batch_size=3)
    batches = list(data.splits["kitti"]())
    assert [b["image_1"].shape for b in batches] == [(3, 16, 16, 3), (3, 24, 16, 3)]
    assert [b["index"].tolist() for b in batches] == [[0, 2, 2], [1, 3, 3]]
    assert [b["valid"].tolist() for b in batches] == 2 * [[True, True, False]]
    # All rows are added at the bottom.
    assert batches[0]["window"][:2].tolist() == [[0, 1, 10, 14], [0, 0, 9, 16]]
    assert len(list(data.splits["kitti"]())) == 2  # again


@pytest.mark.golden
@pytest.mark.parametrize("size", [(13, 21), (16, 24), (9, 8), (20, 17)])
@pytest.mark.parametrize("padding", ["sintel", "kitti"])
def test_padding_agrees_with_the_reference(size, padding):
    path = pathlib.Path(__file__).parents[1] / "golden/flow_pose/input_padder.npz"
    name = f"pad_{size[0]}x{size[1]}"
    with np.load(path) as golden:
        image = np.moveaxis(golden[f"in/{name}"][0], 0, -1)
        expected = np.moveaxis(golden[f"out/{name}_{padding}"][0], 0, -1)
    sides = flow_loaders.pad_widths(size, padding=padding)
    np.testing.assert_array_equal(np.pad(image, (*sides, (0, 0)), "edge"), expected)


def test_positions_of_a_mix_name_set_and_pair():
    counts = [(3, 1), (2, 2), (1, 3)]
    entries = [flow_loaders.mix_entry(counts, i) for i in range(10)]
    assert entries == [
        *[(0, 0), (0, 1), (0, 2)],
        *[(1, 0), (1, 1), (1, 0), (1, 1)],
        *[(2, 0), (2, 0), (2, 0)],
    ]
    for position in (-1, 10):
        with pytest.raises(IndexError, match="position is"):
            flow_loaders.mix_entry(counts, position)


def test_the_description_names_sets_and_counts(data_dir):
    assert data_of(data_dir).description == (
        "train: 2 x 5 of sintel/clean 1.0.0, 3 x 4 of kitti_flow/pairs 1.0.0; "
        "sintel: 5 pairs; kitti: 4 pairs"
    )


def test_evaluation_needs_no_training_data(data_dir):
    data = data_of(data_dir, mix=[MixPart("hd1k")])
    assert (data.num_examples, data.steps_per_epoch) == (0, 0)
    assert "train: not prepared" in data.description
    assert len(list(data.splits["sintel"]())) == 5
    with pytest.raises(FileNotFoundError, match=r"'hd1k' .* is not prepared.*prepare"):
        data.train(0)
    with pytest.raises(ValueError, match="the mix is empty"):
        data_of(data_dir, mix=()).train(0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 23}, "batch_size is 23, but the mix has only 22 pairs"),
        ({"seed": -1}, "seed is -1; expected at least 0"),
        ({"crop": (10, 12)}, "kitti_flow has pairs of 9 x 14 pixels"),
        ({"crop": (0, 12)}, r"crop is \(0, 12\); expected a positive"),
        (
            {"reading": pipeline.Reading(process_count=2), "evaluation_batch_size": 2},
            "batch_size is 3; expected a multiple of the 2",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_when_training_starts(
    data_dir, options, words
):
    data = data_of(data_dir, **options)
    with pytest.raises(ValueError, match=words) as error:
        data.train(0)
    assert "\n" not in str(error.value)


def test_options_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="repeats of hd1k is 0"):
        MixPart("hd1k", repeats=0)
    with pytest.raises(ValueError, match=r"log2_scale of hd1k is \(1.0, 0.0\)"):
        MixPart("hd1k", log2_scale=(1.0, 0.0))
    with pytest.raises(ValueError, match="padding of hd1k is 'left'"):
        EvaluatedSet("hd1k", padding="left")


def test_sets_that_cannot_be_evaluated_on_are_refused(data_dir):
    for evaluated, error, words in (
        (EvaluatedSet("hd1k"), FileNotFoundError, "'hd1k'.* is not prepared"),
        (EvaluatedSet("sintel", "clean"), ValueError, "split is 'test'; .* has train"),
    ):
        with pytest.raises(error, match=words):
            data_of(data_dir, evaluated={"one": evaluated})
    with pytest.raises(ValueError, match="batch_size is 1; expected a multiple of"):
        data_of(data_dir, reading=pipeline.Reading(process_count=3))
