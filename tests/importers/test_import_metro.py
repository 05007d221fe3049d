import pickle
import zipfile

import numpy as np
import pytest
from refusals import assert_refused_in_one_line
from torch_writer import Call, Tensor, Writer, legacy_bytes

from posejax import data
from posejax.importers import convert_metro_estimates


class ResultsWriter(Writer):
    """Pickles tensors one by one, as Python's own pickle does with PyTorch's."""

    def persistent_id(self, obj):
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Tensor):
            # The storage is by itself a file of torch.save.
            stored = Call("torch.storage", "_load_from_bytes", storage_bytes(obj))
            view = (obj.offset, tuple(obj.size), tuple(obj.stride))
            obj = Call("torch._utils", "_rebuild_tensor_v2", stored, *view, False, {})
        super().save(obj, save_persistent_id)


def storage_bytes(tensor):
    return legacy_bytes(tensor.storage)


def write_results(path, results):
    with zipfile.ZipFile(path, "w") as archive, archive.open("results.npy", "w") as f:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(f, header)
        writer = ResultsWriter(f, legacy=False)
        writer.dump(results)


def person(frame):
    rng = np.random.default_rng(frame)
    return {
        "pred_3d_joints_from_smpl": Tensor(
            rng.normal(size=(1, 14, 3)).astype(np.float32)
        ),
        "pred_camera": Tensor(
            np.arange(9, dtype=np.float32), offset=frame, size=(3,), stride=(2,)
        ),
        "proc_param": {
            "scale": np.array([0.5, 0.25]) if frame else np.float64(0.5),
            "start_pt": np.array([10 + frame, 20]),
            "img_size": 224,
        },
    }


@pytest.mark.parametrize("kind", ["dictionaries", "lists"])
def test_published_estimates_become_a_plain_file(kind, tmp_path):
    frames = [person(0), person(1)]
    results = {t: {0: p} for t, p in enumerate(frames)}
    if kind == "lists":
        results = [[p] for p in frames]
    write_results(tmp_path / "a_results.npz", results)
    convert_metro_estimates(tmp_path / "a_results.npz", tmp_path / "a.npz")
    found = data.read_metro(tmp_path / "a.npz")
    assert found.num_frames == 2
    expected = frames[1]["pred_3d_joints_from_smpl"].storage.reshape(14, 3)
    np.testing.assert_array_equal(found.pose[1], expected)
    np.testing.assert_array_equal(found.camera, [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(found.scale, [[0.5, 0.5], [0.5, 0.25]])
    np.testing.assert_array_equal(found.origin, [[-102, -92], [-101, -92]])
    assert found.crop_size == 224
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.npz", "a_results.npz"]


class Harmful:
    def __reduce__(self):
        return print, ("this must not run",)


def test_files_that_are_none_or_ask_for_code_are_refused_in_one_line(tmp_path, capsys):
    source, target = tmp_path / "a.npz", tmp_path / "b.npz"

    def convert():
        convert_metro_estimates(source, target)

    assert_refused_in_one_line(convert, "is missing", kind=FileNotFoundError)
    np.savez(source, results=np.array({0: Harmful()}, dtype=object))
    assert_refused_in_one_line(convert, "asks for builtins.print", str(source))
    source.write_bytes(b"no archive")
    assert_refused_in_one_line(convert, "cannot be read as METRO's estimates")
    np.savez(source, other=np.zeros(3))
    assert_refused_in_one_line(convert, "results.npy")
    np.savez(source, results=np.zeros(3))
    assert_refused_in_one_line(convert, "plain numbers")
    np.savez(source, results=np.array({}, dtype=object))
    assert_refused_in_one_line(convert, "holds no frames")
    wrong = {0: {0: {"proc_param": {"scale": 1.0}}}}
    np.savez(source, results=np.array(wrong, dtype=object))
    assert_refused_in_one_line(convert, "frame 0 of", "no person")
    assert not target.exists()
    with pytest.raises(ValueError, match=r"expected a name ending in \.npz"):
        convert_metro_estimates(source, tmp_path / "b.pkl")
    assert capsys.readouterr().out == ""
    assert pickle.dumps(Harmful())
