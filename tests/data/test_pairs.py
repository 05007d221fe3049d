"""Pair rules against the stored ones, and what has to hold for any folder."""

import json
import pathlib

import numpy as np
import pytest

from posejax.data import pairs

GOLDEN = (
    pathlib.Path(__file__).parent.parent / "golden" / "template_warp" / "pairs.json"
)
KEYS = {"all": "all_pairs", "half_and_flips": "half_pairs_flipped"}


@pytest.mark.golden
@pytest.mark.parametrize("pairing", pairs.PAIRINGS)
def test_pairs_of_a_folder_are_the_stored_ones(pairing):
    for count, rows in json.loads(GOLDEN.read_text())[KEYS[pairing]].items():
        assert pairs.pair_indices(int(count), pairing=pairing).tolist() == rows, count


@pytest.mark.parametrize("count", [4, 25, 102])
def test_no_frame_is_in_two_pairs(count):
    used = pairs.pair_indices(count, pairing="all")[:, :2].ravel()
    assert sorted(used.tolist()) == list(range(count - count % 2))


@pytest.mark.parametrize("count", [2, 4, 25, 102])
def test_every_pair_of_the_half_comes_once_as_it_is_and_once_mirrored(count):
    rows = pairs.pair_indices(count, pairing="half_and_flips")
    plain, mirrored = rows[rows[:, 2] == 0], rows[rows[:, 2] == 1]
    np.testing.assert_array_equal(plain[:, :2], mirrored[:, :2])
    assert plain[:, :2].max() < count // 2 + 1


def test_pairs_of_a_data_set_stay_within_folders_and_mirrored_ones_come_last():
    rows = pairs.dataset_pairs([5, 1, 0, 4], pairing="half_and_flips")
    assert rows.tolist() == [[0, 1, 0], [6, 7, 0], [0, 1, 1], [6, 7, 1]]
    rows = pairs.dataset_pairs([5, 1, 0, 4], pairing="all")
    assert rows.tolist() == [[0, 1, 0], [2, 3, 0], [6, 7, 0], [8, 9, 0]]


def test_a_data_set_without_folders_has_no_pairs():
    assert pairs.dataset_pairs([], pairing="all").shape == (0, 3)


def test_an_unknown_pairing_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"pairing is 'flip'; expected one of .*'all'"):
        pairs.dataset_pairs([4], pairing="flip")
