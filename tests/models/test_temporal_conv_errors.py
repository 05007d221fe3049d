"""What the temporal model refuses, in one line each."""

import jax
import jax.numpy as jnp
import pytest

from posejax import models

SIZES = {"in_joints": 4, "out_joints": 3, "channels": 6, "dropout": 0.0}


@pytest.mark.parametrize("widths", [(), (3, 2), (0, 3), (-3,)])
def test_widths_that_are_not_odd_are_one_line(widths):
    for function in (models.receptive_field, models.causal_shift):
        with pytest.raises(ValueError, match=r"filter_widths is .* odd") as caught:
            function(widths)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="filter_widths is "):
        models.make_temporal_model(in_joints=1, out_joints=1, filter_widths=widths)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"dropout": 1.0}, "dropout is 1.0; expected 0 <= dropout < 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"channels": 0}, "channels is 0; expected at least 1"),
        ({"in_joints": 0}, "in_joints is 0"),
        ({"out_units": 0}, "out_units is 0"),
    ],
)
def test_sizes_out_of_range_are_refused(wrong, expected):
    with pytest.raises(ValueError, match=expected):
        models.make_temporal_model(filter_widths=(3,), **SIZES | wrong)


@pytest.mark.parametrize(
    ("form", "shape", "expected"),
    [
        ("apply", (2, 8, 4, 2), "has 8 frames; expected at least 9"),
        ("apply_strided", (2, 8, 4, 2), "has 8 frames; expected exactly 9"),
        ("apply_strided", (2, 18, 4, 2), "has 18 frames; expected exactly 9"),
        ("apply", (2, 9, 5, 2), "expected (batch, frames, 4, 2)"),
        ("apply", (2, 9, 4, 3), "expected (batch, frames, 4, 2)"),
        ("apply_strided", (9, 4, 2), "expected (batch, frames, 4, 2)"),
    ],
)
def test_inputs_it_cannot_take_are_one_line(form, shape, expected):
    model = models.make_temporal_model(filter_widths=(3, 3), **SIZES)
    with pytest.raises(ValueError, match="inputs of the temporal model") as caught:
        getattr(model, form)({}, {}, jnp.zeros(shape), train=False)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    if form == "apply":
        with pytest.raises(ValueError, match="inputs of the temporal model"):
            model.init(jax.random.key(0), jnp.zeros(shape))


def test_a_dense_model_has_no_strided_form():
    model = models.make_temporal_model(filter_widths=(3, 3), dense=True, **SIZES)
    with pytest.raises(ValueError, match=r"dense is True.*use apply"):
        model.apply_strided({}, {}, jnp.zeros((2, 9, 4, 2)), train=False)
