import logging
import resource

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy_task

from posejax import training
from posejax.training import Checkpoints


def fresh(task=None, seed=0):
    task = task or toy_task.make_toy_task()
    batch = next(toy_task.train_batches(0))
    return training.init_state(jax.random.key(seed), task, batch)


def at(state, step):
    return state._replace(step=jnp.int32(step))


def assert_same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(np.testing.assert_array_equal, one, two)


def test_a_state_comes_back_as_it_was(tmp_path):
    state = at(fresh(), 7)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 7
        assert_same(checkpoints.restore_state(fresh(seed=1)), state)


def test_the_shape_of_a_state_is_enough_to_restore_it(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 7))
        template = jax.eval_shape(lambda: fresh(seed=1))
        assert_same(checkpoints.restore_state(template), at(fresh(), 7))


def test_a_model_comes_back_without_its_optimiser(tmp_path):
    state = at(fresh(), 7)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        params, model_state, step = checkpoints.restore_variables()
    assert_same((params, model_state), (state.params, state.model_state))
    assert step == 7


def test_a_model_without_state_of_its_own_comes_back(tmp_path):
    state = at(fresh(), 1)._replace(model_state={})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        assert checkpoints.restore_variables()[1] == {}


def test_checkpoints_move_between_numbers_of_devices(tmp_path):
    state = at(fresh(), 1)
    for n, (before, after) in enumerate([(8, 1), (1, 2), (2, 8)], start=1):
        saved = training.mesh.replicate(at(state, n), training.data_mesh(before))
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(saved)
        mesh = training.data_mesh(after)
        with Checkpoints(tmp_path) as checkpoints:
            found = checkpoints.restore_state(fresh(), mesh=mesh)
            params, _, _ = checkpoints.restore_variables(mesh=mesh)
        assert found.params["conv"]["kernel"].sharding.mesh.size == after
        assert params["conv"]["kernel"].sharding.mesh.size == after
        assert_same(jax.device_get(found), jax.device_get(at(state, n)))


def test_latest_and_best_are_kept_after_many_saves_and_restarts(tmp_path):
    errors = {1: 5.0, 2: 3.0, 3: 4.0, 4: float("nan"), 5: None, 6: 4.5}
    for step, error in errors.items():
        with Checkpoints(tmp_path, best=("error", "min")) as checkpoints:
            figures = None if error is None else {"error": error}
            checkpoints.save(at(fresh(), step), figures)
    with Checkpoints(tmp_path, best=("error", "min")) as checkpoints:
        assert checkpoints.steps() == [2, 6]
        assert checkpoints.best_step() == 2
        assert checkpoints.latest_step() == 6
        assert checkpoints.figures(2) == {"error": 3.0}
        assert checkpoints.restore_variables("best")[2] == 2
        assert checkpoints.restore_variables(6)[2] == 6


def test_the_larger_figure_is_better_if_it_is_said_so(tmp_path):
    with Checkpoints(tmp_path, best=("pdj", "max")) as checkpoints:
        for step, figure in [(1, 0.2), (2, 0.9), (3, 0.9), (4, 0.1)]:
            checkpoints.save(at(fresh(), step), {"pdj": figure})
        checkpoints.wait()
        assert checkpoints.steps() == [3, 4]  # of equals the later one
        assert checkpoints.best_step() == 3


def test_only_the_latest_is_kept_if_nothing_tells_the_best(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(at(fresh(), step), {"error": 1.0})
        checkpoints.wait()
        assert checkpoints.steps() == [3]
        assert checkpoints.best_step() is None
        assert checkpoints.restore_variables("best")[2] == 3


def test_saving_a_step_twice_does_nothing(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 1))
        checkpoints.save(at(fresh(seed=9), 1))
        assert_same(checkpoints.restore_state(fresh()), at(fresh(), 1))


def test_memory_may_be_reused_as_soon_as_save_returns(tmp_path):
    scale = jax.jit(
        lambda tree: jax.tree.map(lambda x: x * 0 + 9, tree), donate_argnums=0
    )
    state = at(fresh(), 1)
    params = jax.tree.map(lambda x: jnp.ones((256, 1024)) + x.sum() * 0, state.params)
    state = state._replace(params=params)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        for _ in range(3):
            params = scale(params)
        jax.block_until_ready(params)
        found, _, _ = checkpoints.restore_variables()
    np.testing.assert_array_equal(found["conv"]["kernel"], 1.0)


def test_a_checkpoint_of_another_model_is_refused_with_the_difference(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 4))
        other = fresh(toy_task.make_toy_task(channels=6))
        with pytest.raises(ValueError, match="belongs to another model") as error:
            checkpoints.restore_state(other)
        message = str(error.value)
        assert str(tmp_path / "4") in message
        assert (
            "params/conv/kernel: expected float32[3, 3, 2, 6], found "
            "float32[3, 3, 2, 4]"
        ) in message
        assert "\n" not in message
        with pytest.raises(ValueError, match="params/head/kernel: expected"):
            checkpoints.restore_variables(like=(other.params, other.model_state))
        same = fresh()
        checkpoints.restore_variables(like=(same.params, same.model_state))


def test_an_entry_of_which_nothing_is_known_is_read_as_it_is(tmp_path):
    state, other = (fresh(toy_task.make_toy_task(channels=n)) for n in (4, 5))
    with training.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        like = (state.params, {"norm": None, "frozen": None})
        _, model_state, _ = checkpoints.restore_variables(like=like)
        assert_same(model_state, state.model_state)
        with pytest.raises(ValueError, match="params/conv/kernel: expected") as error:
            checkpoints.restore_variables(like=(other.params, {"norm": None}))
        assert "model_state" not in str(error.value)


def test_another_optimiser_is_another_model(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 4))
        other = fresh(toy_task.make_toy_task(optimizer=optax.sgd(0.1, momentum=0.9)))
        with pytest.raises(ValueError, match="opt_state/0/trace/conv/kernel: expected"):
            checkpoints.restore_state(other)


def test_missing_checkpoints_are_named(tmp_path):
    with Checkpoints(tmp_path / "none", read_only=True) as checkpoints:
        assert checkpoints.latest_step() is None
        with pytest.raises(FileNotFoundError, match=r"no checkpoint in .*none"):
            checkpoints.restore_variables()
    assert not (tmp_path / "none").exists()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 4))
        with pytest.raises(FileNotFoundError, match=r"no checkpoint 3 in .* are 4, "):
            checkpoints.restore_variables(3)


def test_a_best_that_is_neither_min_nor_max_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'min' or 'max'"):
        Checkpoints(tmp_path, best=("error", "low"))


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file/checkpoints cannot be made"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_a_directory_without_permission_to_write_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="cannot be written"):
        Checkpoints(tmp_path / "checkpoints")


def test_a_failed_write_is_one_line_and_loses_nothing(tmp_path):
    state = fresh()
    kernel = jax.random.normal(jax.random.key(0), (512, 512))
    large = state._replace(params={**state.params, "large": kernel})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(at(large, 1))
    checkpoints.wait()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a full disk would
    try:
        checkpoints.save(at(large, 2))
        with pytest.raises(OSError, match="could not be written to") as error:
            checkpoints.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert f"the last complete checkpoint is {tmp_path / '1'}" in str(error.value)
    with Checkpoints(tmp_path) as again:
        assert again.latest_step() == 1
        assert_same(again.restore_state(large), at(large, 1))
        again.save(at(large, 2))
        again.wait()
        assert again.steps() == [2]


def test_a_checkpoint_half_deleted_by_a_killed_process_harms_nothing(tmp_path):
    best = ("error", "min")
    with Checkpoints(tmp_path, best=best) as checkpoints:
        checkpoints.save(at(fresh(), 2), {"error": 1.0})
    with Checkpoints(tmp_path / "other", best=best) as checkpoints:
        checkpoints.save(at(fresh(), 1), {"error": 2.0})
    half = tmp_path / "1"
    (tmp_path / "other" / "1").rename(half)
    (half / "metrics" / "metrics").unlink()
    for path in (half / "variables").rglob("manifest*"):
        path.unlink()
    with Checkpoints(tmp_path, best=best) as checkpoints:
        assert checkpoints.best_step() == 2
        assert_same(checkpoints.restore_state(fresh()), at(fresh(), 2))
        checkpoints.save(at(fresh(), 3), {"error": 3.0})
        checkpoints.wait()
        assert checkpoints.steps() == [2, 3]


def test_the_library_below_keeps_quiet(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at(fresh(), 1))
        checkpoints.restore_state(fresh())
    assert [r for r in caplog.records if "orbax" in r.pathname] == []
