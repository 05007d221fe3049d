"""Flows and maps of a wrong shape are refused in one line too.

The test that no equation is without a case is in `test_shapes_of_arguments.py`.
"""

import jax.numpy as jnp
import pytest

from posejax import geometry, losses, metrics
from tests.refusals import assert_shapes_are_refused, ones, refused, refused_by

FLOW, OTHER, MASK = ones(4, 5, 2), ones(4, 6, 2), jnp.ones((4, 6), bool)
PAIRS = (
    losses.smooth_flow_loss,
    losses.smooth_flow_loss_per_pixel,
    metrics.endpoint_errors,
    metrics.mean_endpoint_error,
    metrics.outlier_share,
)
FLOW_CASES = [
    refused(geometry.sample_map, ones(4), ones(2), match="maps has shape (4,)"),
    refused(geometry.sample_map, ones(4, 5, 3), ones(7, 3), match="points has shape"),
    refused(
        geometry.sample_map,
        *(ones(2, 4, 5, 3), ones(3, 7, 2)),
        match="maps (2,), points (3,)",
    ),
    refused(geometry.warp_by_flow, ones(4, 5, 3), ones(4, 5, 3), match="flow has"),
    refused(geometry.warp_by_flow, ones(4, 5, 3), OTHER, match="images (4, 5)"),
    refused(geometry.visible_mask, ones(4, 5, 3), FLOW, match="forward has shape"),
    refused(geometry.visible_mask, FLOW, OTHER, match="backward (4, 6, 2)"),
    refused(geometry.pad_to_multiple, ones(4, 5), match="images has shape (4, 5)"),
    refused(
        geometry.remove_padding,
        ones(8, 16, 2),
        size=(4, 5),
        match="padded has shape (8, 16, 2); expected (..., 8, 8, channels)",
    ),
    refused(losses.sequence_loss, FLOW, FLOW, match="predictions (5, 2)"),
    refused(losses.sequence_loss, ones(3, 4, 5), ones(4, 5), match="target has shape"),
    refused(losses.sequence_loss, ones(3, 4, 5, 2), FLOW, mask=MASK, match="mask (4,"),
    *refused_by(PAIRS, ones(4, 5, 3), ones(4, 5, 3), match="predicted has shape"),
    *refused_by(PAIRS, FLOW, OTHER, match="target (4, 6, 2)"),
    refused(metrics.mean_endpoint_error, FLOW, FLOW, mask=MASK, match="mask (4, 6)"),
    refused(metrics.outlier_share, FLOW, FLOW, mask=MASK, match="mask (4, 6)"),
    refused(
        metrics.share_within, FLOW, OTHER, threshold_px=1.0, match="target (4, 6, 2)"
    ),
    refused(metrics.num_flow_pixels, jnp.ones(4, bool), match="mask has shape (4,)"),
]


@pytest.mark.parametrize(("function", "arguments", "options", "match"), FLOW_CASES)
def test_a_wrong_flow_or_map_is_one_line_that_names_the_argument(
    function, arguments, options, match, monkeypatch
):
    assert_shapes_are_refused(function, arguments, options, match, monkeypatch)
