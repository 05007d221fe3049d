"""Published weights of RAFT to our parameters and back."""

import json

import jax
import numpy as np
import pytest

from posejax import importers, models
from tests.fill import GOLDEN, fill_state_dict
from tests.importers.torch_writer import legacy_bytes, tensors, zip_bytes

COUNTS = {"large": 5257536, "small": 990162}


def filled(variant):
    """A published state dict in float32; a norm of two names has one value."""
    file = GOLDEN / "flow_pose" / f"raft_{variant}_state_dict.json"
    shapes = {k: v["shape"] for k, v in json.loads(file.read_text()).items()}
    state = {}
    for name, values in fill_state_dict(shapes).items():
        is_counter = name.endswith("num_batches_tracked")
        state[name] = values.astype(np.int64 if is_counter else np.float32)
    for name in state:
        if ".norm3." in name:
            state[name] = state[name.replace("norm3", "downsample.1")]
    return state


def assert_equal_states(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].tobytes() == values.tobytes(), name


@pytest.mark.parametrize("variant", ["large", "small"])
def test_the_names_tell_the_network_and_export_gives_every_bit_back(variant):
    state = filled(variant)
    params, stats, found = importers.import_raft(state)
    assert found == variant
    network = models.raft_network(variant)
    specs = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (params, stats))
    assert shapes == jax.tree.map(lambda spec: (spec.shape, spec.dtype), specs)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == COUNTS[variant]
    assert_equal_states(importers.export_raft(params, stats), state)


@pytest.mark.parametrize("layout", [zip_bytes, legacy_bytes])
def test_a_released_file_is_read_without_its_prefix(tmp_path, layout):
    state = filled("small")
    path = tmp_path / "raft-small.pth"
    wrapped = {f"module.{name}": values for name, values in state.items()}
    path.write_bytes(layout(tensors(wrapped)))
    params, stats, variant = importers.load_raft_checkpoint(path, variant="small")
    assert (variant, stats) == ("small", {})
    assert_equal_states(importers.export_raft(params, stats), state)
    with pytest.raises(ValueError, match=r"raft-small\.pth: .*the small.*the large"):
        importers.load_raft_checkpoint(path, variant="large")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        importers.load_raft_checkpoint(tmp_path / "none.pth")


def test_of_two_names_of_one_norm_the_later_counts_and_one_is_enough():
    state = filled("large")
    first, second = "cnet.layer2.0.norm3", "cnet.layer2.0.downsample.1"
    norm = lambda found: found.params["cnet"]["layer_2_0"]["projection"]["norm"]  # noqa: E731
    changed = state | {f"{first}.weight": np.full(96, 7, np.float32)}
    expected = state[f"{second}.weight"]
    np.testing.assert_array_equal(
        norm(importers.import_raft(changed))["scale"], expected
    )
    for prefix in (first, second):
        fewer = {k: v for k, v in state.items() if not k.startswith(f"{prefix}.")}
        found = importers.import_raft(fewer)
        np.testing.assert_array_equal(norm(found)["scale"], expected)
        assert_equal_states(importers.export_raft(*found[:2]), state)
        del fewer[f"{first if prefix == second else second}.bias"]
        with pytest.raises(ValueError, match=r"downsample\.1\.bias is missing"):
            importers.import_raft(fewer)


def test_all_missing_unused_and_wrong_tensors_are_in_one_error():
    state = filled("large")
    del state["fnet.conv1.weight"], state["cnet.norm1.running_var"]
    state["other.bias"] = np.zeros(3, np.float32)
    state["cnet.layer3.0.norm3.bias"] = np.zeros(4, np.float32)
    state["update_block.gru.convz1.weight"] = np.zeros((128, 384, 5, 1), np.float32)
    with pytest.raises(ValueError, match="does not fit the large RAFT") as caught:
        importers.import_raft(state)
    message = str(caught.value)
    for part in (
        "(5 tensors)",
        "fnet.conv1.weight is missing",
        "cnet.norm1.running_var is missing",
        "other.bias is unused",
        "cnet.layer3.0.norm3.bias has shape (4,), not (128,)",
        "update_block.gru.convz1.weight has shape (128, 384, 5, 1), not "
        "(128, 384, 1, 5)",
    ):
        assert part in message
    assert "\n" not in message


def test_a_tensor_of_the_other_network_is_unused():
    state = filled("small") | {"update_block.gru.convz1.bias": np.zeros(128)}
    with pytest.raises(ValueError, match=r"small RAFT.*gru\.convz1\.bias is unused"):
        importers.import_raft(state)


@pytest.mark.parametrize("state", [{}, {"epoch": 3, "model": {}}])
def test_what_is_no_state_dict_of_raft_is_refused_in_one_line(state):
    with pytest.raises(ValueError, match="the tensors of a RAFT network") as caught:
        importers.import_raft(state)
    assert "\n" not in str(caught.value)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant is 'medium'; expected one of"):
        importers.import_raft(filled("small"), variant="medium")
