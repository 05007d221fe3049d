import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_task

from posejax import training
from posejax.training import evaluation


@pytest.fixture(scope="module")
def model():
    task = toy_task.make_toy_task()
    state = training.init_state(
        jax.random.key(0), task, next(toy_task.train_batches(0))
    )
    return task, state.params, state.model_state


def run(model, batch_size, devices=None, size=11):
    task, params, model_state = model
    mesh = None if devices is None else training.data_mesh(devices)
    batches = toy_task.split_batches(size, batch_size)
    return training.evaluate(task, params, model_state, batches, mesh=mesh)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 11, 16])
@pytest.mark.parametrize("devices", [None, 8])
def test_figures_depend_neither_on_batch_size_nor_on_devices(
    model, batch_size, devices
):
    task, params, model_state = model
    rows = [toy_task.example(100_000 + i) for i in range(11)]
    batch = toy_task.stack(rows)
    predictions = task.predict(params, model_state, batch)
    expected = np.asarray((predictions.value - batch["target"]) ** 2)
    values, figures = run(model, batch_size, devices)
    assert values["squared"].shape == (11,)
    assert values["both"].shape == (11, 2)
    np.testing.assert_allclose(values["squared"], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(values["both"][:, 1], batch["target"])
    np.testing.assert_allclose(
        figures["squared"], expected.mean(dtype=np.float64), rtol=1e-5
    )


def test_examples_come_in_the_order_of_the_split(model):
    task, params, model_state = model
    batches = list(toy_task.split_batches(9, 2))
    forward, _ = training.evaluate(task, params, model_state, iter(batches))
    backward, _ = training.evaluate(task, params, model_state, iter(batches[::-1]))
    np.testing.assert_array_equal(forward["both"], backward["both"])


def test_an_example_that_comes_twice_is_refused(model):
    task, params, model_state = model
    batch = next(toy_task.split_batches(4, 4))
    with pytest.raises(ValueError, match="example 0 of the split was evaluated twice"):
        training.evaluate(task, params, model_state, iter([batch, batch]))


def test_an_empty_split_is_refused(model):
    task, params, model_state = model
    with pytest.raises(ValueError, match="the split holds no examples"):
        training.evaluate(task, params, model_state, iter([]))


def test_a_batch_without_its_mask_is_refused(model):
    task, params, model_state = model
    batch = next(toy_task.split_batches(4, 4))
    del batch["valid"]
    with pytest.raises(ValueError, match="no entry 'valid'; it has image, index"):
        training.evaluate(task, params, model_state, iter([batch]))


def test_a_metric_that_reduces_the_batch_is_refused(model):
    _, params, model_state = model
    task = toy_task.make_toy_task(
        metrics={"mean": lambda p, b: jnp.mean(p.value - b["target"])[None]}
    )
    with pytest.raises(ValueError, match=r"metric 'mean' returned shape \(1,\) for 4"):
        training.evaluate(task, params, model_state, toy_task.split_batches(4, 4))


def test_a_prepared_evaluation_is_compiled_once(model):
    _, params, model_state = model
    traces = []

    def counted(predictions, batch):
        traces.append(1)
        return predictions.value - batch["target"]

    run = evaluation.make_evaluate(toy_task.make_toy_task(metrics={"error": counted}))
    for _ in range(3):
        run(params, model_state, toy_task.split_batches(11, 4))
    assert len(traces) == 1


@pytest.mark.parametrize("devices", [1, 8])
def test_several_predictors_read_a_split_once(model, devices):
    task, params, model_state = model
    reads = []

    def counted():
        for batch in toy_task.split_batches(11, 4):
            reads.append(1)
            yield batch

    def constant(params, model_state, batch):
        del params, model_state
        return toy_task.Prediction(jnp.zeros(batch["target"].shape[0]))

    each = training.make_evaluate_each(
        task,
        {"model": task.predict, "zero": constant},
        mesh=training.data_mesh(devices),
    )
    found = each(params, model_state, counted())
    assert len(reads) == 3
    values, figures = run(model, 4, devices)
    np.testing.assert_allclose(found["model"][0]["both"], values["both"], rtol=1e-6)
    np.testing.assert_allclose(
        found["model"][1]["squared"], figures["squared"], rtol=1e-6
    )
    np.testing.assert_allclose(
        found["zero"][0]["squared"], values["both"][:, 1] ** 2, rtol=1e-6
    )


def test_resident_arrays_reach_predictions_and_metrics(model):
    _, params, model_state = model
    task = toy_task.make_toy_task(metrics={"offset": lambda p, b: b["index"] + b["by"]})
    values, _ = training.evaluate(
        task,
        params,
        model_state,
        toy_task.split_batches(5, 2),
        resident={"by": np.int32(100)},
    )
    np.testing.assert_array_equal(values["offset"], 100 + np.arange(5))
