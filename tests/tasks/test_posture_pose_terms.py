"""Terms of labelled windows, and schedules of their weights, against plain loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import losses
from posejax.tasks.posture_pose_terms import (
    Labelled,
    Predicted,
    Settings,
    ramped_factors,
    supervised_terms,
    swapped_factors,
)

NOSE = 9


def windows(seed=0, batch=3, frames=2):
    """What was predicted and what is true; the last window does not count."""
    rng = np.random.default_rng(seed)
    found, truth = rng.normal(scale=0.3, size=(2, batch, frames, 17, 3))
    truth[..., 0, :] = 0
    predicted = Predicted(jnp.asarray(found), jnp.zeros((batch, frames, 1, 0)))
    labelled = Labelled(
        pose=jnp.asarray(truth),
        root=jnp.zeros((batch, frames, 3)),
        input_2d=jnp.zeros((batch, frames, 17, 2)),
        valid=jnp.arange(batch) < batch - 1,
    )
    return predicted, labelled


def looped_ramp(num_steps, *, every, factor, pose_follows):
    """The factors of each step, kept and changed as a training loop would."""
    pose, posture, share = 1.0, 0.0, 1.0
    for done in range(1, num_steps + 1):
        yield pose, posture
        if done % every == 0:
            share *= factor
            pose = share if pose_follows else 1.0
            posture = 1.0 - share


def looped_swap(num_epochs, *, steps_per_epoch, epochs):
    pose, posture = 1.0, 0.0
    for done in range(1, num_epochs + 1):
        for _ in range(steps_per_epoch):
            yield pose, posture
        if done % epochs == 0:
            pose, posture = posture, pose


@pytest.mark.parametrize("pose_follows", [False, True])
@pytest.mark.parametrize(("every", "factor"), [(1, 0.5), (3, 0.99), (500, 0.99)])
def test_a_ramp_changes_when_and_by_what_a_loop_does(every, factor, pose_follows):
    options = {"every": every, "factor": factor, "pose_follows": pose_follows}
    steps = np.arange(4 * every)
    found = jax.jit(jax.vmap(lambda step: ramped_factors(step, **options)))(steps)
    expected = np.array(list(looped_ramp(len(steps), **options)))
    np.testing.assert_allclose(found["posture"], expected[:, 1], rtol=2e-6)
    assert ("pose" in found) == pose_follows
    if pose_follows:
        np.testing.assert_allclose(found["pose"], expected[:, 0], rtol=2e-6)
    at = [float(ramped_factors(s, **options)["posture"]) for s in (every - 1, every)]
    assert at == [0.0, pytest.approx(1 - factor, rel=2e-6)]


def test_a_long_ramp_ends_in_posture_alone():
    late = ramped_factors(10**6, every=500, factor=0.99, pose_follows=True)
    assert float(late["posture"]) == pytest.approx(1)
    assert 0 <= float(late["pose"]) < 1e-8


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_swap_is_the_exchange_after_so_many_epochs(epochs):
    every, steps = 5 * epochs, np.arange(5 * 4 * epochs)
    found = jax.jit(jax.vmap(lambda step: swapped_factors(step, every=every)))(steps)
    expected = np.array(list(looped_swap(4 * epochs, steps_per_epoch=5, epochs=epochs)))
    np.testing.assert_array_equal(found["pose"], expected[:, 0])
    for name in ("posture", "posture_anchor"):
        np.testing.assert_array_equal(found[name], expected[:, 1])
    at = [float(swapped_factors(s, every=every)["pose"]) for s in (every - 1, every)]
    assert at == [1.0, 0.0]


@pytest.mark.usefixtures("float64")
def test_the_anchor_is_the_mean_distance_of_root_hips_and_spine():
    predicted, labelled = windows()
    settings = Settings(terms=("posture_anchor",), ignore_nose=True)
    found = supervised_terms(predicted, labelled, settings)
    distances = [
        np.linalg.norm(predicted.pose[row, frame, j] - labelled.pose[row, frame, j])
        for row in range(2)
        for frame in range(2)
        for j in (0, 1, 4, 7)
    ]
    assert found.keys() == {"posture_anchor"}
    np.testing.assert_allclose(found["posture_anchor"], np.mean(distances), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_labelled_terms_leave_a_nose_that_is_ignored_out():
    predicted, labelled = windows()
    names = ("pose", "posture", "posture_anchor")

    @functools.partial(jax.jit, static_argnums=1)
    def terms(pose, ignore_nose):
        settings = Settings(terms=names, ignore_nose=ignore_nose)
        return supervised_terms(predicted._replace(pose=pose), labelled, settings)

    found = terms(predicted.pose, True)
    of_pose = jax.jit(functools.partial(losses.posture_loss, has_nose=False))
    expected = np.mean(
        [
            of_pose(predicted.pose[row, frame], labelled.pose[row, frame])
            for row in range(2)
            for frame in range(2)
        ]
    )
    np.testing.assert_allclose(found["posture"], expected, rtol=1e-12)
    elsewhere = predicted.pose.at[..., NOSE, :].add(1.0)
    for name in names:
        assert terms(elsewhere, True)[name] == found[name]
    assert terms(elsewhere, False)["posture"] != terms(predicted.pose, False)["posture"]
    gradient = jax.grad(lambda pose: sum(terms(pose, True).values()))(predicted.pose)
    np.testing.assert_array_equal(gradient[..., NOSE, :], 0)


def test_scheduled_terms_have_finite_gradients_at_collapsed_poses():
    _, labelled = windows(2)
    settings = Settings(terms=("pose", "posture", "posture_anchor"))

    @jax.jit
    @jax.value_and_grad
    def total(pose, step):
        factors = [
            swapped_factors(step, every=10),
            ramped_factors(step, every=10, factor=0.99, pose_follows=True),
        ]
        terms = supervised_terms(
            Predicted(pose, jnp.zeros((3, 2, 1, 0))), labelled, settings
        )
        return sum(f.get(name, 1.0) * terms[name] for f in factors for name in terms)

    for step in (0, 9, 10, 25):
        for pose in (jnp.zeros((3, 2, 17, 3)), labelled.pose):
            value, gradient = total(pose, step)
            assert np.isfinite(value)
            assert np.all(np.isfinite(gradient))
