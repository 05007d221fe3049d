"""Affine maps, picture warps and the body template: pure functions of arrays."""

from posejax.geometry.affine import compose_affine as compose_affine
from posejax.geometry.affine import identity_affine as identity_affine
from posejax.geometry.affine import invert_affine as invert_affine
from posejax.geometry.affine import transform_points as transform_points
from posejax.geometry.template import draw_template as draw_template
from posejax.geometry.template import expand_parameters as expand_parameters
from posejax.geometry.template import gaussian_blob as gaussian_blob
from posejax.geometry.template import joints_from_anchors as joints_from_anchors
from posejax.geometry.template import template_anchors as template_anchors
from posejax.geometry.template import transform_anchors as transform_anchors
from posejax.geometry.template import warp_template as warp_template
from posejax.geometry.template import (
    warp_template_closed_form as warp_template_closed_form,
)
from posejax.geometry.warping import warp_images as warp_images
from posejax.geometry.warping import warp_images_twice as warp_images_twice
