"""Published temporal models to our parameters and back."""

import json
import pickle
import zipfile

import jax
import numpy as np
import pytest

from posejax import importers, models
from tests.fill import GOLDEN, fill_state_dict
from tests.importers.torch_writer import Call, Named, legacy_bytes, tensors, zip_bytes

SHAPES = GOLDEN / "posture_pose" / "temporal_model_state_dicts.json"


def shapes_of(name):
    return json.loads(SHAPES.read_text())[name]


def filled(name, salt=0):
    """A published state dict in float32, counters included."""
    state = fill_state_dict(shapes_of(name), salt=salt)
    kinds = {True: np.int64, False: np.float32}
    return {
        key: values.astype(kinds[key.endswith("num_batches_tracked")])
        for key, values in state.items()
    }


def assert_equal_states(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].tobytes() == values.tobytes(), name


def numpy_random_state():
    """The state of a generator as NumPy before 1.17 pickled it, without its BUILD."""
    array = Call(
        "numpy.core.multiarray", "_reconstruct", Named("numpy", "ndarray"), (0,), "b"
    )
    kind = Call("numpy", "dtype", "u4", 0, 1)
    raw = Call("_codecs", "encode", "\x00\xff", "latin1")
    return [
        Call("numpy.random", "__RandomState_ctor"),
        Call("numpy.random._pickle", "__randomstate_ctor", "MT19937"),
        (array, kind, raw),
    ]


def checkpoint(**entries):
    """A check point as the published training programs write it."""
    return {
        "epoch": 80,
        "lr": 1e-4,
        "random_state": numpy_random_state(),
        "optimizer": {"state": {0: {"step": 3, "exp_avg": np.ones(2)}}},
        **entries,
    }


@pytest.mark.parametrize(
    ("name", "widths", "joints", "units"),
    [
        ("temporal_333", (3, 3, 3), 17, 3),
        ("optimized1f_333_causal", (3, 3, 3), 17, 3),
        ("temporal_111", (1, 1, 1), 17, 3),
        ("trajectory_333", (3, 3, 3), 1, 3),
        ("scale_111", (1, 1, 1), 1, 1),
    ],
)
def test_the_shapes_tell_the_architecture_and_export_gives_every_bit_back(
    name, widths, joints, units
):
    state = filled(name)
    params, stats, architecture = importers.import_temporal_model(state)
    assert architecture == (17, 2, joints, units, widths, 48, False)
    model = models.make_temporal_model(**architecture._asdict())
    example = jax.ShapeDtypeStruct(
        (2, models.receptive_field(widths), 17, 2), np.float32
    )
    specs = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    found = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), (params, stats))
    assert found == jax.tree.map(lambda spec: (spec.shape, spec.dtype), specs)
    assert_equal_states(importers.export_temporal_model(params, stats), state)


def test_a_dense_model_is_read_as_dense_only_if_it_is_said():
    state = filled("temporal_333_dense")
    assert state["layers_conv.2.weight"].shape == (48, 48, 19)
    params, stats, dense = importers.import_temporal_model(state, dense=True)
    assert (dense.filter_widths, dense.dense) == ((3, 3, 3), True)
    assert_equal_states(importers.export_temporal_model(params, stats), state)
    _, _, dilated = importers.import_temporal_model(state)
    assert (dilated.filter_widths, dilated.dense) == ((3, 7, 19), False)
    wrong = state | {"layers_conv.0.weight": np.zeros((48, 48, 5))}
    with pytest.raises(ValueError, match=r"layers_conv\.0\.weight with 5 taps.*dense"):
        importers.import_temporal_model(wrong, dense=True)


@pytest.mark.parametrize(
    ("name", "widths", "count"),
    [
        ("videopose3d_243_cpn", (3, 3, 3, 3, 3), 16952371),
        ("videopose3d_27", (3, 3, 3), 8555571),
        ("single_frame_111", (1, 1, 1), 4291635),
    ],
)
def test_the_published_sizes_have_their_names_and_shapes(name, widths, count):
    model = models.make_temporal_model(
        in_joints=17, out_joints=17, filter_widths=widths
    )
    example = jax.ShapeDtypeStruct(
        (2, models.receptive_field(widths), 17, 2), np.float32
    )
    params, stats = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    zeros = lambda tree: jax.tree.map(  # noqa: E731
        lambda spec: np.broadcast_to(np.float32(0), spec.shape), tree
    )
    state = importers.export_temporal_model(zeros(params), zeros(stats))
    expected = shapes_of(f"full_size/{name}")
    assert {key: list(values.shape) for key, values in state.items()} == expected
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_the_wrapper_of_data_parallel_training_is_stripped():
    state = filled("temporal_333")
    wrapped = {f"module.{name}": values for name, values in state.items()}
    params, stats, _ = importers.import_temporal_model(wrapped)
    assert_equal_states(importers.export_temporal_model(params, stats), state)
    with pytest.raises(ValueError, match=r"module\.extra is unused"):
        importers.import_temporal_model(state | {"module.extra": np.zeros(1)})


def test_all_missing_unused_and_wrong_tensors_are_in_one_error():
    state = filled("temporal_333")
    del state["layers_conv.1.weight"], state["layers_bn.3.running_var"]
    state["other.bias"] = np.zeros(3, np.float32)
    state["layers_bn.0.weight"] = np.zeros(4, np.float32)
    state["layers_conv.3.weight"] = np.zeros((48, 48, 3), np.float32)
    with pytest.raises(ValueError, match="does not fit the temporal model") as caught:
        importers.import_temporal_model(state)
    message = str(caught.value)
    for part in (
        "(5 tensors)",
        "layers_conv.1.weight is missing",
        "layers_bn.3.running_var is missing",
        "other.bias is unused",
        "layers_bn.0.weight has shape (4,), not (48,)",
        "layers_conv.3.weight has shape (48, 48, 3), not (48, 48, 1)",
        "Check filter_widths",
    ):
        assert part in message
    assert "\n" not in message


def test_a_missing_kernel_is_named_and_no_tensor_is_invented():
    state = filled("temporal_333")
    del state["expand_conv.weight"], state["shrink.bias"]
    with pytest.raises(ValueError, match=r"expand_conv\.weight is missing") as caught:
        importers.import_temporal_model(state)
    assert "shrink.bias is missing" in str(caught.value)
    strange = {"layers_conv.999999999.weight": np.zeros((1, 1, 1))}
    with pytest.raises(ValueError, match=r"999999999\.weight is unused"):
        importers.import_temporal_model(strange)
    with pytest.raises(ValueError, match=r"shrink\.weight is missing"):
        importers.import_temporal_model({})


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"filter_widths": (3, 3)}, r"of filter_widths \(3, 3, 3\), expected \(3, 3\)"),
        ({"filter_widths": (3,) * 5}, r"\(3, 3, 3\), expected \(3, 3, 3, 3, 3\)"),
        ({"filter_widths": (1, 1, 1)}, r"\(3, 3, 3\), expected \(1, 1, 1\)"),
        ({"channels": 1024}, "of 48 channels, expected 1024: change channels"),
        ({"in_channels": 3}, r"expand_conv\.weight for 34 values.*joints of 3"),
        ({"out_units": 2}, r"shrink\.bias for 51 values.*joints of 2"),
    ],
)
def test_weights_of_another_size_are_told_in_one_line(expected, message):
    with pytest.raises(ValueError, match=message) as caught:
        importers.import_temporal_model(filled("temporal_333"), **expected)
    assert "\n" not in str(caught.value)
    fitting = {"filter_widths": (3, 3, 3), "channels": 48, "out_units": 1}
    _, _, found = importers.import_temporal_model(filled("temporal_333"), **fitting)
    assert found.out_joints == 51


def test_a_kernel_of_even_width_is_refused():
    state = filled("temporal_333") | {"expand_conv.weight": np.zeros((48, 34, 4))}
    with pytest.raises(ValueError, match=r"expand_conv\.weight with 4 taps"):
        importers.import_temporal_model(state)


@pytest.mark.parametrize("layout", [zip_bytes, legacy_bytes])
@pytest.mark.parametrize(
    ("pose_name", "other_name", "other"),
    [
        ("model_pos", "model_traj", "trajectory_333"),
        ("model_pose", "model_auxi", "trajectory_333"),
        ("model_pos", "model_traj", None),
    ],
)
def test_a_published_check_point_loads_from_its_file(
    tmp_path, layout, pose_name, other_name, other
):
    pose = filled("temporal_333")
    auxiliary = None if other is None else filled(other, salt=1)
    content = checkpoint(**{pose_name: pose, other_name: auxiliary})
    path = tmp_path / "pretrained.bin"
    path.write_bytes(layout(tensors(content)))
    loaded = importers.load_temporal_checkpoint(path, filter_widths=(3, 3, 3))
    back = importers.export_temporal_model(*loaded.pose[:2])
    assert_equal_states(back, pose)
    if other is None:
        assert loaded.auxiliary is None
    else:
        assert loaded.auxiliary.architecture.out_joints == 1
        back = importers.export_temporal_model(*loaded.auxiliary[:2])
        assert_equal_states(back, auxiliary)


def test_a_scale_model_is_told_by_its_single_output():
    content = {"model_pose": filled("temporal_111"), "model_auxi": filled("scale_111")}
    loaded = importers.import_temporal_checkpoint(content)
    assert loaded.auxiliary is not None
    found = loaded.auxiliary.architecture
    assert (found.out_joints, found.out_units) == (1, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "model": {}}, "holds epoch, model; expected one state dict"),
        ({}, "holds nothing"),
        (
            {"model_pos": {}, "model_pose": {}},
            "expected one state dict named model_pos",
        ),
        ({"model_pos": {}, "model_traj": {}, "model_auxi": {}}, "at most one named"),
    ],
)
def test_a_check_point_of_another_system_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        importers.import_temporal_checkpoint(content)


def test_faults_of_both_models_are_told_together_with_the_file(tmp_path):
    pose, trajectory = filled("temporal_333"), filled("trajectory_333")
    del pose["shrink.weight"], trajectory["expand_bn.bias"]
    path = tmp_path / "broken.bin"
    content = {"model_pos": pose, "model_traj": trajectory}
    path.write_bytes(zip_bytes(tensors(content)))
    with pytest.raises(ValueError, match=r"broken\.bin: model_pos: ") as caught:
        importers.load_temporal_checkpoint(path)
    assert "shrink.weight is missing" in str(caught.value)
    assert "model_traj: " in str(caught.value)
    assert "expand_bn.bias is missing" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_second_pose_model_is_no_auxiliary_model():
    content = {
        "model_pos": filled("temporal_333"),
        "model_traj": filled("temporal_333"),
    }
    with pytest.raises(ValueError, match="model_traj: it has 17 joints; expected 1"):
        importers.import_temporal_checkpoint(content)


def test_objects_of_numpy_are_not_built_and_run_nothing(tmp_path):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()"
    content = {
        "gadget": Call("numpy.testing._private.utils", "runstring", code, {}),
        "file": Call("numpy", "fromfile", str(marker)),
        "state": numpy_random_state(),
        "epoch": 3,
    }
    for layout in (zip_bytes, legacy_bytes):
        path = tmp_path / "file.bin"
        path.write_bytes(layout(content))
        found = importers.read_torch_file(path)
        assert found["epoch"] == 3
        assert type(found["gadget"]) is importers.UnreadObject
        assert type(found["file"]) is importers.UnreadObject
        assert not marker.exists()


def test_what_else_a_check_point_asks_for_is_still_refused(tmp_path):
    path = tmp_path / "file.bin"
    for module, name in (("_codecs", "open"), ("numpyx", "f"), ("os", "system")):
        path.write_bytes(zip_bytes({"a": Call(module, name, "true")}))
        with pytest.raises(importers.TorchFileError, match=f"global {module}.{name}"):
            importers.read_torch_file(path)


@pytest.mark.parametrize(
    "made",
    [
        np.random.RandomState(1234),
        np.random.default_rng(1),
        np.arange(3),
        np.float64(2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_real_pickles_of_numpy_are_left_unread(tmp_path, made):
    path = tmp_path / "file.bin"
    data = pickle.dumps({"made": made, "epoch": 3}, protocol=2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    found = importers.read_torch_file(path)
    assert type(found.pop("made")) is importers.UnreadObject
    assert found == {"epoch": 3}


def test_an_unread_object_carries_nothing_from_one_file_to_the_next(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(zip_bytes({"a": Named("numpy", "ndarray")}))
    first = importers.read_torch_file(path)["a"]
    first.__defaults__ = (0,)
    assert importers.read_torch_file(path)["a"].__defaults__ is None
