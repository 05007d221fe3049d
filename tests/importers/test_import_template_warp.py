"""Published state dicts to our parameters and back."""

import jax
import numpy as np
import pytest

from posejax import importers, models
from posejax.models.template_regressor import FEATURES
from tests.fill import fill_state_dict, golden_shapes
from tests.importers.torch_writer import legacy_bytes, tensors, zip_bytes


def filled(name: str) -> dict[str, np.ndarray]:
    state = fill_state_dict(golden_shapes(name))
    return {key: np.asarray(values, np.float32) for key, values in state.items()}


@pytest.fixture(scope="module")
def regressor_state():
    return filled("regressor20_img64")


@pytest.fixture(scope="module")
def translator_state():
    return filled("reconstructor")


def same_shapes(tree, specs) -> bool:
    shapes = jax.tree.map(np.shape, tree)
    return shapes == jax.tree.map(lambda spec: spec.shape, specs)


def assert_equal_states(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        if not name.endswith("num_batches_tracked"):
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values, name)


def test_regressor_import_has_the_layout_of_init_and_round_trips(regressor_state):
    params, stats, unused = importers.import_template_regressor(regressor_state)
    network = models.make_template_regressor(num_outputs=120, features=FEATURES)
    example = jax.ShapeDtypeStruct((2, 64, 64, 3), np.float32)
    specs = jax.eval_shape(lambda: network.init(jax.random.key(0), example))
    assert same_shapes((params, stats), specs)
    assert unused == ()
    back = importers.export_template_regressor(params, stats)
    assert_equal_states(back, regressor_state)


def test_translator_import_has_the_layout_of_init_and_round_trips(translator_state):
    params, stats, _ = importers.import_reconstructor(translator_state)
    example = jax.ShapeDtypeStruct((2, 64, 64, 21), np.float32)
    network = models.make_reconstructor()
    specs = jax.eval_shape(lambda: network.init(jax.random.key(0), example))
    assert same_shapes((params, stats), specs)
    assert_equal_states(importers.export_reconstructor(params, stats), translator_state)


def test_older_regressor_round_trips_and_reports_what_it_leaves_aside():
    state = filled("pretrained")
    extra = state | {"image_encoder.0.weight": np.ones(3, np.float32)}
    params, stats, unused = importers.import_shape_template_regressor(extra)
    assert unused == ("image_encoder.0.weight",)
    back = importers.export_shape_template_regressor(params, stats)
    assert_equal_states(back, state)


def test_a_prefix_selects_and_is_cut_off(translator_state):
    wrapped = {f"module.{name}": v for name, v in translator_state.items()}
    wrapped["other"] = np.zeros(1)
    params, _, _ = importers.import_reconstructor(wrapped, prefix="module.")
    bias = params["layers_13"]["bias"]
    np.testing.assert_array_equal(bias, translator_state["layers.13.bias"])


def test_the_flattened_layer_is_permuted_from_channels_first(regressor_state):
    params, _, _ = importers.import_template_regressor(regressor_state)
    kernel = params["hidden"]["linear"]["kernel"].reshape(3, 3, 256, 512)
    weight = regressor_state["layers.13.4.weight"].reshape(512, 256, 3, 3)
    assert kernel[2, 1, 40, 7] == weight[7, 40, 2, 1]


def test_all_missing_unused_and_wrong_tensors_are_in_one_error(translator_state):
    state = dict(translator_state)
    del state["layers.3.0.weight"], state["layers.8.2.running_var"]
    state["layers.99.bias"] = np.zeros(3, np.float32)
    state["layers.13.bias"] = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="does not fit the reconstructor") as caught:
        importers.import_reconstructor(state)
    message = str(caught.value)
    for part in (
        "(4 tensors)",
        "layers.3.0.weight is missing",
        "layers.8.2.running_var is missing",
        "layers.99.bias is unused",
        "layers.13.bias has shape (4,), not (3,)",
    ):
        assert part in message
    assert "\n" not in message


def test_a_regressor_of_another_scheme_or_size_is_refused(regressor_state):
    with pytest.raises(
        ValueError, match=r"layers\.13\.7\.bias has shape \(120,\), not"
    ):
        importers.import_template_regressor(regressor_state, num_outputs=108)
    with pytest.raises(ValueError, match=r"layers\.13\.4\.weight has shape"):
        importers.import_template_regressor(regressor_state, image_size=256)


@pytest.mark.parametrize("layout", [zip_bytes, legacy_bytes])
def test_a_published_check_point_loads_from_its_file(
    tmp_path, layout, regressor_state, translator_state
):
    path = tmp_path / "checkpoint_1.tar"
    content = {
        "regressor": regressor_state,
        "translator": translator_state,
        "optim": {"state": {}, "param_groups": [{"lr": 1e-3}]},
    }
    path.write_bytes(layout(tensors(content)))
    loaded = importers.load_published_checkpoint(path, image_size=64)
    assert set(loaded) == {"params", "batch_stats"}
    back = importers.export_reconstructor(
        loaded["params"]["translator"], loaded["batch_stats"]["translator"]
    )
    assert_equal_states(back, translator_state)


def test_a_check_point_of_another_system_is_refused(tmp_path, translator_state):
    path = tmp_path / "other.tar"
    path.write_bytes(zip_bytes(tensors({"translator": translator_state, "step": 3})))
    with pytest.raises(ValueError, match=r"other\.tar.*named regressor; it holds tran"):
        importers.load_published_checkpoint(path)
    with pytest.raises(ValueError, match="named regressor_network"):
        importers.load_shape_template_checkpoint(path)


def test_faults_of_both_networks_are_told_together(regressor_state, translator_state):
    content = {
        "regressor": regressor_state | {"a": np.zeros(1)},
        "translator": translator_state | {"b": np.zeros(1)},
    }
    with pytest.raises(ValueError, match="a is unused") as caught:
        importers.import_template_warp(content)
    assert "b is unused" in str(caught.value)


def test_vgg_comes_through_its_npz_and_the_rest_is_left_aside(tmp_path):
    state = filled("vgg19_features")
    extra = {"features.14.weight": np.ones(2), "classifier.0.bias": np.ones(2)}
    params = importers.import_vgg(state | extra)
    np.testing.assert_array_equal(
        params["conv1_1"]["kernel"][0, 2, 1], state["features.0.weight"][:, 1, 0, 2]
    )
    path = tmp_path / "vgg19.npz"
    importers.save_vgg_npz(path, params)
    assert [p.name for p in tmp_path.iterdir()] == ["vgg19.npz"]
    loaded = importers.load_vgg_npz(path)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_bad_vgg_files_are_one_line(tmp_path):
    path = tmp_path / "vgg19.npz"
    with pytest.raises(FileNotFoundError, match=r"download https.*--mode import_weigh"):
        importers.load_vgg_npz(path)
    params = importers.import_vgg(filled("vgg19_features"))
    importers.save_vgg_npz(path, params)
    data = path.read_bytes()
    for bad in (b"", b"no archive", data[: len(data) // 2]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match="cannot be read"):
            importers.load_vgg_npz(path)
    state = filled("vgg19_features")
    del state["features.12.bias"]
    with pytest.raises(ValueError, match=r"features\.12\.bias is missing"):
        importers.import_vgg(state)
    del params["conv1_2"]["bias"]
    importers.save_vgg_npz(path, params | {"extra": {"bias": np.zeros(1)}})
    with pytest.raises(ValueError, match=r"extra/bias is unused; conv1_2/bias is miss"):
        importers.load_vgg_npz(path)
