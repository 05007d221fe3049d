import contextlib

import cv2
import numpy as np
import pytest

from posejax.render.files import replaced_whole, write_png, write_text


def test_a_png_holds_the_same_rgb_values(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    write_png(tmp_path / "new" / "a.png", picture)
    read = cv2.imread(str(tmp_path / "new" / "a.png"))
    np.testing.assert_array_equal(read[..., ::-1], picture)


def test_an_error_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with contextlib.suppress(RuntimeError), replaced_whole(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_has_the_suffix_of_its_target(tmp_path):
    with replaced_whole(tmp_path / "film.mp4") as draft:
        assert draft.suffix == ".mp4"
        assert draft.parent == tmp_path
        draft.write_bytes(b"x")
    assert (tmp_path / "film.mp4").read_bytes() == b"x"


def test_a_folder_replaces_a_full_folder(tmp_path):
    for text in ("first", "second"):
        with replaced_whole(tmp_path / "frames") as draft:
            draft.mkdir()
            (draft / text).write_text(text)
    assert [p.name for p in (tmp_path / "frames").iterdir()] == ["second"]


def test_other_suffixes_and_empty_pictures_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.png"):
        write_png(tmp_path / "a.jpg", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="at least one pixel"):
        write_png(tmp_path / "a.png", np.zeros((0, 2, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
