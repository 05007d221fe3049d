"""Plots of priors: what is drawn is what the priors say."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import priors
from posejax.geometry.bones import free_bone_vectors
from posejax.priors.joint_mobility import RANK1, rank1_members
from posejax.render.plots import write_figure
from posejax.render.prior_plots import (
    direction_figure,
    log_density,
    ratio_figure,
    view_axes,
)

RNG = np.random.default_rng(0)


def moments(samples):
    """Mean, second moments about the origin, and their inverses, of directions."""
    mean = samples.mean(axis=0)
    covariance = np.einsum("nbi,nbj->bij", samples, samples) / len(samples)
    return mean, covariance, np.linalg.inv(covariance)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def directions(count=50, bones=2):
    return unit(RNG.normal(size=(count, bones, 3)) * 0.3 + [0.0, 1.0, 0.0])


def test_the_colour_of_a_sphere_is_the_likelihood_of_the_prior():
    with jax.enable_x64(True):
        poses = RNG.normal(size=(99, 17, 3))
        prior = priors.fit_joint_mobility(poses)
        expected = np.asarray(priors.log_likelihood(prior, jnp.asarray(poses)))
        vectors = np.asarray(free_bone_vectors(jnp.asarray(poses)))
    order = rank1_members()[:, 0]
    for bone in range(len(RANK1)):
        found = log_density(
            vectors[:, order[bone]],
            prior.rank1_mean[bone],
            prior.rank1_covariance[bone],
            prior.rank1_inv_covariance[bone],
        )
        np.testing.assert_allclose(found, expected[:, bone], rtol=1e-9)


@pytest.mark.parametrize("mean", [(1, 0, 0), (0.2, -0.3, 0.9), (0, 0, 0), (1, 1, 1)])
def test_a_viewer_looks_at_the_mean_direction_along_right_handed_axes(mean):
    view = view_axes(np.array(mean, float))
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    seen = view @ np.array(mean, float)
    np.testing.assert_allclose(seen, [0, 0, np.linalg.norm(mean)], atol=1e-12)


def test_the_middle_of_a_disc_is_the_mean_direction_and_the_small_one_is_behind():
    samples = directions()
    mean, covariance, inverse = moments(samples)
    figure = direction_figure(
        mean, covariance, inverse, samples, names=("one", "two"), title="a title"
    )
    for bone, axes in enumerate(figure.axes[:2]):
        near, far = (np.asarray(image.get_array()) for image in axes.images)
        middle = np.array(near.shape) // 2
        towards = unit(mean[bone])
        points = np.stack([towards, -towards])
        expected = log_density(points, mean[bone], covariance[bone], inverse[bone])
        found = near[tuple(middle)], far[tuple(middle)]
        peak = float(axes.get_title().partition("peak ")[2].rstrip(")"))
        np.testing.assert_allclose(found, expected - expected[0] + found[0], rtol=1e-9)
        np.testing.assert_allclose(found[0], expected[0] - peak, atol=0.06)
        assert near[np.isfinite(near)].max() <= 0
        assert axes.get_title().startswith(["one", "two"][bone])
    scales = {image.get_clim() for axes in figure.axes[:2] for image in axes.images}
    assert len(scales) == 1
    assert "log-likelihood" in figure.axes[-1].get_ylabel()


def test_a_sampled_direction_is_drawn_on_the_side_where_it_lies():
    towards = np.array([0.0, 1.0, 0.0])
    samples = np.stack([towards, -towards])[:, None]
    figure = direction_figure(
        towards[None], np.eye(3)[None], np.eye(3)[None], samples, names=("one",)
    )
    near, far = (dots.get_offsets() for dots in figure.axes[0].collections)
    np.testing.assert_allclose(near, [[0, 0]], atol=1e-12)
    assert len(far) == 1
    assert far[0][0] > 1  # beside the sphere, in the small disc


def test_directions_close_together_are_enlarged():
    towards = np.array([0.0, 1.0, 0.0])
    samples = unit(towards + 0.005 * RNG.normal(size=(50, 1, 3)))
    figure = direction_figure(*moments(samples), samples, names=("one",))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "within 1°" in texts or "within 2°" in texts
    assert len(figure.axes[0].images) == 3
    spread = figure.axes[0].collections[2].get_offsets().std(axis=0)
    assert spread.min() > 5 * figure.axes[0].collections[0].get_offsets().std()


def test_a_ratio_is_drawn_as_its_density_over_its_samples():
    mean, std = np.array([0.5, 0.9]), np.array([0.02, 0.1])
    samples = mean + std * RNG.normal(size=(5000, 2))
    figure = ratio_figure(mean, std**2, samples, names=("a / b", "c / d"))
    for index, axes in enumerate([axes for axes in figure.axes if axes.get_title()]):
        curve = next(line for line in axes.lines if line.get_label() == "density")
        peak = 1 / (np.sqrt(2 * np.pi) * std[index])
        assert curve.get_ydata().max() == pytest.approx(peak)
        assert curve.get_xdata()[np.argmax(curve.get_ydata())] == pytest.approx(
            mean[index]
        )
        heights, edges, _ = axes.patches[0].get_data()
        assert (heights * np.diff(edges)).sum() == pytest.approx(1, abs=0.01)
        assert f"{mean[index]:.3f} ± {std[index]:.3f}" in axes.get_title()
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"density", "log-density (right axis)", "samples", "mean"} == set(names)
    logarithms = [a for a in figure.axes if "log" in a.get_ylabel()]
    line = logarithms[0].lines[0]
    assert np.max(line.get_ydata()) == pytest.approx(-np.log(np.sqrt(2 * np.pi) * 0.1))


def test_arguments_for_other_numbers_are_refused():
    with pytest.raises(ValueError, match=r"names \(2,\).*one entry per ratio"):
        ratio_figure(np.ones(3), np.ones(3), np.ones((9, 3)), names=("a", "b"))
    samples = directions()
    with pytest.raises(ValueError, match=r"names \(1, 3\).*one entry per bone"):
        direction_figure(*moments(samples), samples, names=("one",))


def test_both_figures_are_written_with_ink(tmp_path):
    samples = directions()
    spheres = direction_figure(*moments(samples), samples, names=("one", "two"))
    ratios = ratio_figure(
        np.ones(2), np.full(2, 0.01), RNG.normal(1, 0.1, (99, 2)), names=("a", "b")
    )
    for name, figure in (("spheres", spheres), ("ratios", ratios)):
        write_figure(tmp_path / f"{name}.png", figure, dots_per_inch=40)
        picture = cv2.imread(str(tmp_path / f"{name}.png"))
        assert 0.05 < (picture < 250).any(axis=-1).mean() < 0.9
