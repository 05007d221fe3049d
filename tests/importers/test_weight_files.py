"""Weights in one file: what is written is read, and nothing else is."""

import jax.numpy as jnp
import numpy as np
import pytest

from posejax import importers

VARIABLES = (
    {"stem": {"kernel": np.arange(6.0).reshape(2, 3) / 8, "bias": np.ones(3)}},
    {"stem": {"mean": np.full(3, 0.5)}},
)


def save(tmp_path, **options):
    return importers.save_weights(
        tmp_path / "some.npz", VARIABLES, description={"source": "drawn"}, **options
    )


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_read_is_what_was_written(tmp_path, dtype):
    path = save(tmp_path, dtype=dtype)
    params, state = importers.read_weights(path, like=VARIABLES)
    np.testing.assert_array_equal(
        params["stem"]["kernel"], VARIABLES[0]["stem"]["kernel"]
    )
    assert params["stem"]["kernel"].dtype == jnp.float32
    np.testing.assert_array_equal(state["stem"]["mean"], 0.5)
    about = importers.weights_description(path)
    assert about == {"source": "drawn", "stored_as": dtype}
    assert [file.name for file in tmp_path.iterdir()] == ["some.npz"]


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    path = save(tmp_path)
    other = (
        {"stem": {"kernel": np.zeros((2, 4)), "scale": np.ones(3)}},
        {"stem": {"mean": np.zeros(3)}},
    )
    with pytest.raises(ValueError, match="another network") as raised:
        importers.read_weights(path, like=other)
    text = str(raised.value)
    assert "params/stem/scale is missing" in text
    assert "params/stem/bias is unused" in text
    assert "params/stem/kernel has shape (2, 3), not (2, 4)" in text
    assert "\n" not in text


def test_a_file_that_is_none_of_weights_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file of weights"):
        importers.read_weights(tmp_path / "none.npz", like=VARIABLES)
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(ValueError, match="no npz file"):
        importers.read_weights(text, like=VARIABLES)
    np.savez(tmp_path / "bare.npz", kernel=np.ones(3))
    with pytest.raises(ValueError, match="no description"):
        importers.read_weights(tmp_path / "bare.npz", like=VARIABLES)


def test_values_too_large_for_float16_are_refused(tmp_path):
    large = ({"bias": np.array([1e6])}, {})
    with pytest.raises(ValueError, match="params/bias has values that float16"):
        importers.save_weights(
            tmp_path / "x.npz", large, description={}, dtype="float16"
        )
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"end in \.npz"):
        importers.save_weights(tmp_path / "x.bin", large, description={})
