"""Opening prepared pairs with flow, and every way in which files are damaged."""

import json
import pickle

import numpy as np
import pytest

from posejax.data import flow_source, source
from tests.datasets import fake_flow as fake


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data directory with pairs of both kinds; read only."""
    return str(fake.prepare_pairs(tmp_path_factory.mktemp("flow")))


def test_a_source_gives_pairs_as_they_were_written(data_dir):
    pairs = flow_source.open_flow_source(data_dir, "kitti_flow")
    assert len(pairs) == 4
    assert pairs.is_sparse
    assert pairs.sizes.tolist() == [[10, 14], [18, 14], [9, 16], [18, 15]]
    pair, size = pairs[1], (18, 14)
    np.testing.assert_array_equal(pair.image_1, fake.picture("1_10", size=size))
    np.testing.assert_array_equal(pair.image_2, fake.picture("1_11", size=size))
    known = fake.known("1", size=size)
    np.testing.assert_array_equal(pair.valid, known)
    flow = np.where(known[..., None], fake.motion("1", size=size), 0)
    np.testing.assert_array_equal(pair.flow, flow)
    assert pair.name == "000001_10"
    with pytest.raises(IndexError, match="index is 4; expected 0 to 3"):
        pairs[4]


def test_a_source_can_be_pickled(data_dir):
    pairs = flow_source.open_flow_source(data_dir, "sintel", config="clean")
    again = pickle.loads(pickle.dumps(pairs))
    np.testing.assert_array_equal(again[3].flow, pairs[3].flow)


def test_a_set_without_flow_is_refused(tmp_path, frames_writer):
    frames_writer(tmp_path)
    with pytest.raises(ValueError, match="holds no pairs with optical flow"):
        flow_source.open_flow_source(str(tmp_path), "drawn", config="crops")


@pytest.fixture
def damaged(tmp_path):
    """A fresh data directory and the directory of a set in it, to be damaged."""
    data_dir = fake.prepare_pairs(tmp_path)
    return str(data_dir), data_dir / "kitti_flow" / "pairs" / "1.0.0"


def open_damaged(data_dir):
    return flow_source.open_flow_source(data_dir, "kitti_flow")


def test_a_shard_that_is_cut_short_is_named_when_it_is_opened(damaged):
    data_dir, folder = damaged
    (shard,) = folder.glob("*.array_record*")
    shard.write_bytes(shard.read_bytes()[:-300])
    with pytest.raises(source.DataError, match=f"{shard.name}.*prepare the data set"):
        open_damaged(data_dir)


def test_changed_bytes_end_in_one_line_that_names_the_pair(damaged):
    data_dir, folder = damaged
    (shard,) = folder.glob("*.array_record*")
    data = shard.read_bytes()
    shard.write_bytes(data[:2000] + b"\xa5" * 900 + data[2900:])
    pairs = open_damaged(data_dir)
    with pytest.raises(source.DataError, match=r"train pair \d cannot be re") as error:
        [pairs[i] for i in range(4)]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sizes": {"train": [[3, 10, 14]]}}, "lists 3 pairs .* the shards hold 4"),
        ({"sizes": {}}, "lists no sizes for split 'train'"),
        ({"sizes": {"train": [[4, 10]]}}, "lists no sizes for split 'train'"),
        ({"sparse": None, "folders": None}, "lacks folders, sparse"),
    ],
)
def test_metadata_that_do_not_fit_are_damage(damaged, change, words):
    data_dir, folder = damaged
    path = folder / "metadata.json"
    metadata = {**json.loads(path.read_text()), **change}
    kept = {key: value for key, value in metadata.items() if value is not None}
    path.write_text(json.dumps(kept))
    with pytest.raises(source.DataError, match=words):
        open_damaged(data_dir)


def test_a_pair_of_another_size_than_listed_is_damage(damaged):
    data_dir, folder = damaged
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["sizes"]["train"][1] = [1, 18, 16]
    path.write_text(json.dumps(metadata))
    with pytest.raises(source.DataError, match=r"pair 1 is not of size \(18, 16\)"):
        open_damaged(data_dir)[1]


def test_a_set_that_is_not_prepared_says_how_to_prepare_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"datasets\.prepare sintel --config f"):
        flow_source.open_flow_source(str(tmp_path), "sintel", config="final")


def test_an_unknown_split_is_refused_with_the_known_ones(data_dir):
    with pytest.raises(ValueError, match=r"split is 'dev'; .* has train\."):
        flow_source.open_flow_source(data_dir, "kitti_flow", split="dev")
