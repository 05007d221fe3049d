"""Every public equation gives the same values inside jit, vmap, pmap and shard_map.

A new function is added by a row in `ROWS`; without one the last test fails.
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from posejax import geometry, losses, metrics
from posejax.templates import NATURAL, SCHEMES

EXAMPLES = 8  # one for each of the virtual devices of the test run
SIZE = 16


class Row(NamedTuple):
    """One public function, as a call on the arrays of one example.

    Attributes:
      function: The public function.
      call: How it is called on one example's arrays, or on a batch of them.
      shapes: Shape of each array of one example; drawn as `0.5 + normal / 4`.
      takes_batch: Whether `call` may also be given all examples at once.
    """

    function: Callable
    call: Callable
    shapes: tuple = ()
    takes_batch: bool = True


def row(function, *shapes, takes_batch=True, **options):
    return Row(function, lambda *a: function(*a, **options), shapes, takes_batch)


def constant(function, *args, **options):
    """A function of no array: its result is added to zeros of each example."""
    return Row(function, lambda x: x + function(*args, **options), ((),), False)


def maps_of(raw, scheme="two_step"):
    return geometry.expand_parameters(raw / 8, scheme=SCHEMES[scheme], image_size=SIZE)


def warped(raw):
    blobs = geometry.draw_template(NATURAL, size=SIZE)
    return geometry.warp_template(blobs, maps_of(raw), scheme=SCHEMES["two_step"])


def warped_in_closed_form(raw):
    return geometry.warp_template_closed_form(NATURAL, maps_of(raw), size=SIZE)


def moved_anchors(raw):
    rest = geometry.template_anchors(NATURAL, size=SIZE)
    return geometry.transform_anchors(rest, maps_of(raw))


def weighted(first, second):
    terms = {"anchor": first, "pixel": second}
    return losses.weighted_sum(terms, {"anchor": 0.5, "pixel": 2.0})


JOINTS, ANCHORS, PICTURE, MAP = (15, 2), (32, 2), (5, 6, 3), (2, 3)
ROWS = (
    constant(geometry.identity_affine),
    row(geometry.invert_affine, MAP),
    row(geometry.compose_affine, MAP, MAP),
    row(geometry.transform_points, MAP, (4, 2)),
    row(geometry.warp_images, (6, 7), MAP),
    row(geometry.warp_images_twice, (6, 7), MAP, MAP),
    row(geometry.gaussian_blob, (2,), (2,), (), size=SIZE),
    constant(geometry.draw_template, NATURAL, size=SIZE),
    constant(geometry.template_anchors, NATURAL, size=SIZE),
    Row(geometry.expand_parameters, lambda r: maps_of(r, "constrained"), ((62,),)),
    Row(geometry.warp_template, warped, ((120,),)),
    Row(geometry.warp_template_closed_form, warped_in_closed_form, ((120,),)),
    Row(geometry.transform_anchors, moved_anchors, ((120,),)),
    row(geometry.joints_from_anchors, ANCHORS),
    row(losses.anchor_loss, ANCHORS, image_size=1),
    row(losses.boundary_loss, ANCHORS, image_size=1),
    row(losses.perceptual_loss, PICTURE, PICTURE),
    row(losses.pixel_loss, PICTURE, PICTURE),
    Row(losses.weighted_sum, weighted, ((), ())),
    row(metrics.joint_distances, JOINTS, JOINTS),
    row(metrics.pdj, JOINTS, JOINTS, (), threshold=0.7),
    row(metrics.pdj_left_right_free, JOINTS, JOINTS, (), threshold=0.7),
    row(metrics.normalized_l2, JOINTS, JOINTS, image_size=SIZE),
    row(metrics.normalized_l2_left_right_free, JOINTS, JOINTS, image_size=SIZE),
    row(metrics.swap_sides, JOINTS),
    row(metrics.arms_out, JOINTS, angle_deg=80.0),
    row(metrics.arms_down, JOINTS, angle_deg=5.0),
    row(metrics.segment_ratios, JOINTS),
    row(metrics.proportion_consistency, (9, 13)),
)
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda r: r.function.__name__)


def examples(row):
    rng = np.random.default_rng(0)
    return tuple(
        jnp.asarray(0.5 + rng.normal(size=(EXAMPLES, *shape)) / 4, jnp.float32)
        for shape in row.shapes
    )


def on_a_mesh(call):
    mesh = jax.make_mesh((EXAMPLES,), ("data",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("data")
    return jax.shard_map(call, mesh=mesh, in_specs=spec, out_specs=spec)


@each_row
def test_values_are_the_same_in_every_transformation(row):
    arrays = examples(row)
    alone = jax.jit(row.call)
    singles = [alone(*one) for one in zip(*arrays, strict=True)]
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *singles)
    each = jax.vmap(row.call)
    ways = {
        "vmap": jax.jit(each),
        "pmap": jax.pmap(row.call),
        "shard_map": jax.jit(on_a_mesh(each)),
    }
    if row.takes_batch:
        ways["batch"] = jax.jit(row.call)
    for name, way in ways.items():
        found = way(*arrays)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for one, other in zip(
            jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
        ):
            assert one.dtype == other.dtype
            np.testing.assert_allclose(
                one, other, rtol=1e-4, atol=1e-4, err_msg=f"differs inside {name}"
            )


@each_row
def test_values_of_different_examples_differ(row):
    """So that a function which mixes examples up could not pass the test above."""
    if row.shapes == ((),):
        pytest.skip("a function of no array")
    found = jax.tree.leaves(jax.jit(jax.vmap(row.call))(*examples(row)))
    assert any(np.ptp(np.asarray(leaf, np.float32), axis=0).max() > 0 for leaf in found)


def test_every_public_equation_has_a_row():
    public = {
        value
        for module in (geometry, losses, metrics)
        for value in vars(module).values()
        if inspect.isfunction(value)
    }
    missing = {function.__name__ for function in public - {r.function for r in ROWS}}
    assert not missing, f"add a row to ROWS for {', '.join(sorted(missing))}"
