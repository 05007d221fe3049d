import json
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_task

from posejax import training
from posejax.training import hooks


def fresh(task):
    batch = next(toy_task.train_batches(0))
    return training.init_state(jax.random.key(0), task, batch)


def fit(task, hooks, num_steps, **options):
    state = options.pop("state", None) or fresh(task)
    return training.fit(
        task,
        state,
        options.pop("batches", None) or toy_task.train_batches(int(state.step)),
        num_steps=num_steps,
        hooks=hooks,
        **options,
    )


def poisoned(at, name="target"):
    """Batches of which that of step `at` holds a NaN."""
    for step, batch in enumerate(toy_task.train_batches(0), start=1):
        if step == at:
            batch[name] = batch[name] * np.float32("nan")
        yield batch


@pytest.mark.parametrize("steps_per_call", [1, 3])
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, steps_per_call):
    task = toy_task.make_toy_task()
    with training.Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(training.NonFiniteLoss) as error:
            fit(
                task,
                (
                    training.FiniteHook(checkpoints),
                    training.CheckpointHook(checkpoints, every=2),
                ),
                12,
                batches=poisoned(5),
                steps_per_call=steps_per_call,
            )
        assert error.value.step == 5
        assert "error" in error.value.terms
        assert error.value.checkpoint == tmp_path / "4"
        assert str(tmp_path / "4") in str(error.value)
        assert "\n" not in str(error.value)
        assert checkpoints.steps() == [4]
        params, _, _ = checkpoints.restore_variables()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params))


def test_the_last_good_checkpoint_is_never_overwritten(tmp_path):
    # The poisoned step is itself one that is saved.
    task = toy_task.make_toy_task()
    with training.Checkpoints(tmp_path) as checkpoints:
        stack = (
            training.FiniteHook(checkpoints),
            training.CheckpointHook(checkpoints, every=2),
        )
        with pytest.raises(training.NonFiniteLoss, match="step 4 is not finite"):
            fit(task, stack, 10, batches=poisoned(4))
        checkpoints.wait()
        assert checkpoints.steps() == [2]


def test_the_last_step_is_checked_as_well():
    with pytest.raises(training.NonFiniteLoss, match="nothing was saved before"):
        fit(
            toy_task.make_toy_task(),
            (training.FiniteHook(),),
            3,
            batches=poisoned(3),
        )


def test_a_state_that_is_not_finite_is_not_saved(tmp_path):
    # Finite loss and gradient, but a running statistic that is lost.
    plain = toy_task.make_toy_task()

    def loss(params, model_state, batch, *, key, step):
        found = plain.loss(params, model_state, batch, key=key, step=step)
        norm = found.model_state["norm"]
        return found._replace(
            model_state={"norm": norm | {"var": norm["var"] * jnp.inf}}
        )

    with training.Checkpoints(tmp_path) as checkpoints:
        stack = (training.CheckpointHook(checkpoints, every=1),)
        with pytest.raises(training.NonFiniteLoss) as error:
            fit(toy_task.make_toy_task(loss=loss), stack, 2)
        assert error.value.terms == ("model_state/norm/var",)
        assert checkpoints.steps() == []


def test_checkpoints_are_written_at_their_steps_and_at_the_end(tmp_path):
    saved = []

    class Spy(hooks.CheckpointHook):
        def _save(self, step, state):
            saved.append(step)
            super()._save(step, state)

    task = toy_task.make_toy_task()
    with training.Checkpoints(tmp_path) as checkpoints:
        state = fit(task, (Spy(checkpoints, every=3),), 8, steps_per_call=2)
        assert saved == [3, 6, 8]
        found = checkpoints.restore_state(fresh(task))
    jax.tree.map(np.testing.assert_array_equal, found, state)


def test_a_state_that_is_saved_has_its_lines_on_disk(tmp_path):
    log = training.MetricLog(tmp_path, tensorboard=False)
    steps = []

    class Spy(training.Checkpoints):
        def save(self, state, figures=None):
            lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
            steps.append((int(state.step), json.loads(lines[-1])["step"]))
            super().save(state, figures)

    with Spy(tmp_path / "c") as checkpoints, log:
        stack = (
            training.LogHook(log, every=1, examples_per_step=8),
            training.CheckpointHook(checkpoints, every=2, log=log),
        )
        fit(toy_task.make_toy_task(), stack, 5)
    assert steps == [(2, 2), (4, 4), (5, 5)]


def test_an_evaluation_decides_the_best_checkpoint(tmp_path):
    task = toy_task.make_toy_task(selection=("squared", "min"))
    log = training.MetricLog(tmp_path, tensorboard=False)
    evaluation = training.EvaluationHook(
        task,
        {"test": lambda: toy_task.split_batches(9, 4)},
        log,
        every=2,
        num_steps=5,
    )
    with training.Checkpoints(tmp_path / "c", best=task.selection) as checkpoints:
        save = training.CheckpointHook(checkpoints, every=1, evaluation=evaluation)
        fit(task, (evaluation, save), 5)
        assert evaluation.step == 5
        values = {
            step: checkpoints.figures(step).get("squared")
            for step in checkpoints.steps()
        }
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [2, 4, 5]
    best = min(rows, key=lambda row: row["test/squared"])
    assert values[best["step"]] == best["test/squared"]
    assert 5 in values


def test_pictures_are_drawn_from_a_fixed_batch_at_their_steps():
    task, drawn = toy_task.make_toy_task(), []

    def write(step, pictures):
        drawn.append((step, {name: x.shape for name, x in pictures.items()}))

    hook = training.PicturesHook(
        task.pictures, next(toy_task.train_batches(0)), write, every=2, num_steps=5
    )
    fit(task, (hook,), 5, mesh=training.data_mesh(8))
    shapes = {"features": (8, 5, 5, 3)}
    assert drawn == [(2, shapes), (4, shapes), (5, shapes)]


def test_a_task_without_pictures_draws_none():
    drawn = []
    hook = training.PicturesHook(None, {}, lambda *found: drawn.append(found), every=1)
    state = fit(toy_task.make_toy_task(), (hook,), 2)
    assert int(state.step) == 2
    assert drawn == []


def test_sigterm_saves_and_stops(tmp_path):
    task = toy_task.make_toy_task()

    def signal_at_3(step, state, logs):
        del state, logs
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with training.Preemption() as preemption, training.Checkpoints(tmp_path) as kept:
        save = training.CheckpointHook(kept, every=100, preemption=preemption)
        with pytest.raises(training.Preempted) as stopped:
            fit(task, (signal_at_3, save), 10)
        assert stopped.value.step == 3
        assert stopped.value.checkpoint == tmp_path / "3"
        resumed = fit(task, (), 6, state=kept.restore_state(fresh(task)))
    assert signal.getsignal(signal.SIGTERM) is before
    whole = fit(task, (), 6)
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
