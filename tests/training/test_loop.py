import chex
import jax
import numpy as np
import pytest
import toy_task

from posejax import training
from posejax.training import loop


class Recorder:
    """Remembers what a hook is given; needs the state of every `every` steps."""

    def __init__(self, every=0):
        self.state_every = every
        self.steps = []
        self.rows = []
        self.finished = None

    def __call__(self, step, state, logs):
        assert int(state.step) == step
        self.steps.append(step)
        self.rows.extend(np.atleast_1d(logs["total"]).tolist())

    def finish(self, step, state):
        self.finished = step


def fresh(task):
    batch = next(toy_task.train_batches(0))
    return training.init_state(jax.random.key(1), task, batch)


def train(task, num_steps, state=None, **options):
    recorder = Recorder(options.pop("every", 0))
    state = fresh(task) if state is None else state
    state = training.fit(
        task,
        state,
        toy_task.train_batches(int(state.step)),
        num_steps=num_steps,
        hooks=(recorder,),
        **options,
    )
    return state, recorder


def test_training_lowers_the_loss():
    _, recorder = train(toy_task.make_toy_task(learning_rate=0.05, noise=0.0), 60)
    assert np.mean(recorder.rows[-10:]) < 0.3 * np.mean(recorder.rows[:10])
    assert recorder.steps == list(range(1, 61))
    assert recorder.finished == 60


def test_two_halves_make_a_whole():
    task = toy_task.make_toy_task()
    whole, _ = train(task, 6)
    half, _ = train(task, 3)
    resumed, recorder = train(task, 6, half)
    assert recorder.steps == [4, 5, 6]
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)


@pytest.mark.parametrize("unroll", [1, True])
def test_four_steps_per_call_are_four_steps(unroll):
    task = toy_task.make_toy_task()
    one, singles = train(task, 10)
    four, fours = train(task, 10, steps_per_call=4, unroll=unroll)
    assert fours.steps == [4, 8, 9, 10]
    np.testing.assert_allclose(singles.rows, fours.rows, rtol=1e-5)
    chex.assert_trees_all_close(one, four, rtol=1e-4, atol=1e-6)


def test_calls_end_where_a_hook_needs_the_state():
    task = toy_task.make_toy_task()
    _, recorder = train(task, 10, steps_per_call=4, every=5)
    assert recorder.steps == [4, 5, 9, 10]


@pytest.mark.parametrize("start", [0, 1, 5, 10, 17])
def test_the_plan_after_a_stop_does_not_depend_on_the_start(start):
    lengths = loop.call_lengths(start, 40, 4, [10, 0])
    assert sum(lengths) == 40 - start
    assert set(lengths) <= {1, 4}
    ends = (start + np.cumsum(lengths)).tolist()
    assert {20, 30, 40} <= set(ends)
    whole = np.cumsum(loop.call_lengths(0, 40, 4, [10])).tolist()
    assert [e for e in ends if e > 20] == [e for e in whole if e > 20]


def test_nothing_happens_when_all_steps_are_done():
    task = toy_task.make_toy_task()
    state, _ = train(task, 2)
    again, recorder = train(task, 2, state)
    assert int(again.step) == 2
    assert recorder.steps == []


def test_the_step_is_traced_and_compiled_once():
    plain, traces = toy_task.make_toy_task(), []

    def loss(params, model_state, batch, *, key, step):
        traces.append(1)
        return plain.loss(params, model_state, batch, key=key, step=step)

    task = toy_task.make_toy_task(loss=loss)
    step = training.make_train_step(task)
    for _ in range(2):  # one compiled step serves many trainings
        _, recorder = train(task, 5, train_step=step)
        assert len(recorder.rows) == 5
    assert len(traces) == 1
    assert step.one.num_compilations == 1


def test_training_runs_on_a_mesh_of_eight():
    task = toy_task.make_toy_task()
    one, _ = train(task, 5)
    eight, recorder = train(task, 5, mesh=training.data_mesh(8))
    assert len(recorder.rows) == 5
    chex.assert_trees_all_close(one, jax.device_get(eight), rtol=1e-4, atol=1e-6)


def test_an_error_of_a_hook_ends_the_run():
    def hook(step, state, logs):
        del state, logs
        if step == 2:
            raise RuntimeError("enough")

    task = toy_task.make_toy_task()
    with pytest.raises(RuntimeError, match="enough"):
        training.fit(
            task, fresh(task), toy_task.train_batches(0), num_steps=5, hooks=(hook,)
        )
