"""What of a config is refused before its data are read, and what only in training."""

import jax
import pytest

from configs.bases import template_warp
from posejax.tasks.template_warp_data import make_data


def data_of(drawn_dir, **changes):
    config = template_warp.get_config()
    values = {"data.name": "drawn", "image_size": 64, "batch_size": 8}
    config.update_from_flattened_dict(values | {"evaluation.batch_size": 8} | changes)
    return make_data(config, str(drawn_dir))


@pytest.mark.parametrize("size", [0, -64])
def test_a_size_that_cannot_be_names_its_field(drawn_dir, size):
    with pytest.raises(ValueError, match=rf"config\.image_size is {size}; expected"):
        data_of(drawn_dir, image_size=size)
    with pytest.raises(ValueError, match=r"config\.evaluation\.batch_size is"):
        data_of(drawn_dir, **{"evaluation.batch_size": size})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 12}, r"batch_size is 12; .* multiple of the 8 devices\."),
        ({"batch_size": 12, "loop.cpu_devices": 8}, r"devices that config\.loop\.cpu"),
        ({"batch_size": 1}, r"config\.batch_size is 1; expected at least 2"),
        ({"batch_size": 800}, r"batch_size is 800, but .* pairs"),
        ({"num_epochs": 0}, r"config\.num_steps and config\.num_epochs are both 0"),
    ],
)  # fmt: skip
def test_what_only_training_needs_does_not_stop_evaluation(drawn_dir, changes, says):
    assert jax.device_count() == 8
    data = data_of(drawn_dir, **changes)
    assert next(data.splits["test"]())["valid"].all()
    with pytest.raises(ValueError, match=says):
        data.train(0)
