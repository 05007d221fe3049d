"""Metrics: pure, one value per example or joint, masked instead of filtered."""

from posejax.metrics.keypoints import arms_down as arms_down
from posejax.metrics.keypoints import arms_out as arms_out
from posejax.metrics.keypoints import joint_distances as joint_distances
from posejax.metrics.keypoints import normalized_l2 as normalized_l2
from posejax.metrics.keypoints import (
    normalized_l2_left_right_free as normalized_l2_left_right_free,
)
from posejax.metrics.keypoints import pdj as pdj
from posejax.metrics.keypoints import pdj_left_right_free as pdj_left_right_free
from posejax.metrics.keypoints import swap_sides as swap_sides
from posejax.metrics.proportions import ProportionConsistency as ProportionConsistency
from posejax.metrics.proportions import proportion_consistency as proportion_consistency
from posejax.metrics.proportions import segment_ratios as segment_ratios
