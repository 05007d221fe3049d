"""Pictures of a body template at rest: its blobs and its anchor points."""

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from posejax.render.plots import OKABE_ITO, axes_of_size
from posejax.templates import ANCHOR_PARTS, TEMPLATE_SIZE, Template

if TYPE_CHECKING:
    import matplotlib.figure


def template_parts(
    template: Template, *, size: int = TEMPLATE_SIZE
) -> Float[np.ndarray, "{size} {size} parts"]:
    """Draws the Gaussian blobs of a template, each with peak 1.

    Args:
      template: The template, in pixels of a 256 x 256 crop.
      size: Side of the picture in pixels; the template is scaled to it.

    Returns:
      One heat map per part.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), section 3.
    """
    scale = size / TEMPLATE_SIZE
    rows, columns = np.mgrid[:size, :size][..., None]
    down, across = np.moveaxis(template.centers, -1, 0) * scale
    first, second = np.moveaxis(template.sigmas, -1, 0) * scale
    cos, sin = np.cos(template.angles), np.sin(template.angles)
    # In the blob's own axes, turned by the angle from rows towards minus columns.
    along = cos * (rows - down) - sin * (columns - across)
    beside = sin * (rows - down) + cos * (columns - across)
    return np.exp(-0.5 * ((along / first) ** 2 + (beside / second) ** 2))


def template_figure(
    template: Template, *, title: str = ""
) -> "matplotlib.figure.Figure":
    """A template: outlines of its parts over their sum, with the anchor points.

    Args:
      template: The template.
      title: Heading.

    Returns:
      The figure, axes in pixels of the 256 x 256 crop. An outline is where the blob has
      fallen to one standard deviation; a line joins the anchors of one part.
    """
    parts, anchors = template_parts(template), template.anchors
    total = parts.sum(axis=-1)
    figure, axes = axes_of_size(5.9, 5.2, grid=False)
    figure.set_layout_engine("compressed")
    picture = axes.imshow(total, cmap="gray", vmin=0.0, vmax=total.max())
    for index in range(len(template.parts)):
        color = OKABE_ITO[index % 6]
        axes.contour(parts[..., index], levels=[math.exp(-0.5)], colors=[color])
        own = anchors[index == ANCHOR_PARTS]
        axes.plot(own[:, 0], own[:, 1], color="white", linewidth=1.0, zorder=3)
    axes.plot(
        anchors[:, 0],
        anchors[:, 1],
        linestyle="none",
        marker="o",
        markersize=4.5,
        color="#F0E442",
        markeredgecolor="black",
        zorder=4,
        label="anchor",
    )
    axes.set_xlim(-0.5, TEMPLATE_SIZE - 0.5)
    axes.set_ylim(TEMPLATE_SIZE - 0.5, -0.5)
    axes.set_xlabel("x [px]")
    axes.set_ylabel("y [px]")
    axes.set_title(title or f"template {template.name!r}")
    axes.legend(loc="upper right", fontsize=8)
    figure.colorbar(picture, ax=axes, fraction=0.046, label="sum of the parts [-]")
    return figure
