"""Files of torch.save, good and bad, without PyTorch."""

import pickle

import ml_dtypes
import numpy as np
import pytest

from posejax.importers import TorchFileError, read_torch_file
from tests.importers.torch_writer import (
    Call,
    Named,
    Parameter,
    Tensor,
    legacy_bytes,
    tensors,
    zip_bytes,
)

LAYOUTS = pytest.mark.parametrize("layout", [zip_bytes, legacy_bytes])


def written(tmp_path, data: bytes):
    path = tmp_path / "file.tar"
    path.write_bytes(data)
    return path


def message_of(path) -> str:
    with pytest.raises(TorchFileError) as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@LAYOUTS
def test_nested_state_dicts_come_back_with_values_and_dtypes(tmp_path, layout):
    rng = np.random.default_rng(0)
    tree = {
        "regressor": {
            "a.weight": rng.normal(size=(2, 3, 1, 4)).astype(np.float32),
            "a.count": np.array(7),
        },
        "optim": {"lr": 1e-3, "betas": (0.9, 0.999), "groups": [{"params": [0, 1]}]},
        "half": np.ones(3, np.float16),
        "brain": np.full(3, 1.5, ml_dtypes.bfloat16),
        "double": rng.normal(size=(2, 2)),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    found = read_torch_file(written(tmp_path, layout(tensors(tree))))
    assert type(found["regressor"]) is dict
    assert found["optim"] == tree["optim"]
    for name in ("half", "brain", "double", "flags", "empty"):
        assert found[name].dtype == tree[name].dtype
        np.testing.assert_array_equal(found[name], tree[name])
    for name, values in tree["regressor"].items():
        np.testing.assert_array_equal(found["regressor"][name], values)


@LAYOUTS
def test_views_share_a_storage_and_keep_their_strides(tmp_path, layout):
    storage = np.arange(12.0)
    whole, part = Tensor(storage), Tensor(storage, 1, (3, 2), (1, 4))
    part.storage = whole.storage
    spread = Tensor(np.ones(1), 0, (5,), (0,))
    content = {"whole": whole, "part": Parameter(part), "spread": spread}
    found = read_torch_file(written(tmp_path, layout(content)))
    np.testing.assert_array_equal(found["whole"], storage)
    np.testing.assert_array_equal(found["part"], [[1, 5], [2, 6], [3, 7]])
    np.testing.assert_array_equal(found["spread"], np.ones(5))


@LAYOUTS
@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch.nn.modules.linear", "Linear")],
)
def test_a_pickle_that_asks_for_code_is_refused_by_name(tmp_path, layout, module, name):
    marker = tmp_path / "ran"
    content = {"weights": Call(module, name, f"touch {marker}")}
    assert f"{module}.{name}" in message_of(written(tmp_path, layout(content)))
    assert not marker.exists()


def test_a_plain_pickle_that_asks_for_code_is_refused_by_name(tmp_path):
    class Bomb:
        def __reduce__(self):
            return print, ("ran",)

    data = pickle.dumps(Bomb(), protocol=2)
    assert "__builtin__.print" in message_of(written(tmp_path, data))


def test_attributes_set_by_one_file_do_not_reach_the_next(tmp_path):
    path = written(tmp_path, zip_bytes({"a": Named("torch._utils", "_rebuild_tensor")}))
    first = read_torch_file(path)["a"]
    first.__defaults__ = (0,)
    assert read_torch_file(path)["a"].__defaults__ is None


@LAYOUTS
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_one_line(tmp_path, layout, keep):
    data = layout({"a": Tensor(np.arange(100.0))})
    message = message_of(written(tmp_path, data[: int(keep * len(data))]))
    assert "damaged" in message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"hello", "starts neither"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (pickle.dumps({"a": 1}, protocol=2), "magic number"),
        (zip_bytes([1, 2]), "holds a list"),
        (b"PK\x03\x04 and no archive", "damaged"),
    ],
)
def test_other_files_are_refused_with_the_reason(tmp_path, data, expected):
    assert expected in message_of(written(tmp_path, data))


@LAYOUTS
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, layout):
    for bad in (
        Tensor(np.arange(4.0), 2, (3,), (1,)),
        Tensor(np.arange(4.0), -1, (2,), (1,)),
        Tensor(np.arange(4.0), 0, (2, 2), (1,)),
    ):
        message = message_of(written(tmp_path, layout({"a": bad})))
        assert "damaged" in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.tar is not a file"):
        read_torch_file(tmp_path / "nothing.tar")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        read_torch_file(tmp_path)
