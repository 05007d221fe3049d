"""Plots of priors: densities of bone-length ratios, spheres of bone directions."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from posejax.checks import require_equal_shapes
from posejax.render.plots import OKABE_ITO, figure_of_size, wrapped_title

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import matplotlib.image

_WIDTH = 11.0  # inches
_RATIO_COLUMNS, _SPHERE_COLUMNS = 3, 4
_STDS = 4.0  # of a density that are shown on either side of its mean
_DISC = 161  # pixels across a sphere
_RINGS_DEG = (30, 60)
_NATS = 12.0  # below the most likely direction, what is told apart by colour
_DOTS = 300  # directions drawn per sphere
_FAR_CENTER, _CLOSE_CENTER, _SMALL_RADIUS = (1.25, -0.9), (1.25, 0.9), 0.38
_AXIS_LENGTH, _MIN_AXIS = 1.3, 0.3  # radii: of an axis, and as seen
_CLOSE_UP_DEG = (1, 2, 5, 10)  # angles shown enlarged where all directions lie inside


def ratio_figure(
    mean: Float[np.ndarray, " ratios"],
    variance: Float[np.ndarray, " ratios"],
    samples: Float[np.ndarray, "poses ratios"],
    *,
    names: Sequence[str],
    title: str = "",
) -> "matplotlib.figure.Figure":
    """Normal densities of ratios and their logarithms, over what they were fitted to.

    Args:
      mean: Mean of each ratio.
      variance: Variance of each ratio, above zero.
      samples: The ratios that the densities were fitted to.
      names: What each ratio is of.
      title: Heading.

    Returns:
      The figure, one panel per ratio.

    Raises:
      ValueError: If the arguments are not for the same number of ratios.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (what is drawn).
    """
    require_equal_shapes(
        "give one entry per ratio.",
        mean=mean.shape,
        variance=variance.shape,
        samples=samples.shape[1:],
        names=(len(names),),
    )
    figure, panels = _grid(len(names), _RATIO_COLUMNS, row_height=2.15, rest=0.9)
    for index, (name, axes) in enumerate(zip(names, panels.flat, strict=False)):
        std = math.sqrt(variance[index])
        logarithm = _draw_ratio(axes, mean[index], std, samples[:, index])
        axes.set_title(f"{name}: {mean[index]:.3f} ± {std:.3f}", fontsize=10)
        if index % _RATIO_COLUMNS == 0:
            axes.set_ylabel("density [-]", color=OKABE_ITO[0])
        if index % _RATIO_COLUMNS == _RATIO_COLUMNS - 1 or index == len(names) - 1:
            logarithm.set_ylabel("log-density [-]", color=OKABE_ITO[1])
        if index >= len(names) - _RATIO_COLUMNS:
            axes.set_xlabel("ratio of lengths [-]")
    first = panels.flat[0]
    handles, labels = first.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9
    )
    figure.suptitle(wrapped_title(figure, title), size=12)
    return figure


def direction_figure(
    mean: Float[np.ndarray, "bones 3"],
    covariance: Float[np.ndarray, "bones 3 3"],
    inv_covariance: Float[np.ndarray, "bones 3 3"],
    directions: Float[np.ndarray, "poses bones 3"],
    *,
    names: Sequence[str],
    title: str = "",
) -> "matplotlib.figure.Figure":
    """Unit spheres coloured by how likely a bone points there.

    A sphere is seen from where its mean direction comes out; rings are at 30 and 60
    degrees from it. The small disc below shows the far side, seen through the sphere;
    that above, where all directions lie close together, enlarges the middle. Colours
    are relative to the most likely direction, whose log-likelihood is in the title.

    Args:
      mean: Mean unit vector of each bone.
      covariance: Second moments of each bone's density.
      inv_covariance: Their inverses.
      directions: Unit vectors that the densities were fitted to, or some of them.
      names: Name of each bone.
      title: Heading.

    Returns:
      The figure, one sphere per bone, with one scale of colours.

    Raises:
      ValueError: If the arguments are not for the same number of bones.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (what is drawn).
    """
    require_equal_shapes(
        "give one entry per bone.",
        mean=mean.shape,
        directions=directions.shape[1:],
        covariance=covariance.shape[:2],
        inv_covariance=inv_covariance.shape[:2],
        names=(len(names), 3),
    )
    figure, panels = _grid(len(names), _SPHERE_COLUMNS, row_height=2.55, rest=1.3)
    image = None
    for index, (name, axes) in enumerate(zip(names, panels.flat, strict=False)):
        axes.set_axis_off()
        density = mean[index], covariance[index], inv_covariance[index]
        image, peak = _draw_sphere(axes, density, directions[:, index])
        axes.set_title(f"{name} (peak {peak:.2f})", fontsize=10)
    assert image is not None
    bar = figure.colorbar(
        image, ax=panels, extend="min", shrink=0.6, aspect=30, pad=0.02
    )
    bar.set_label("log-likelihood of the direction, relative to its peak [-]")
    figure.suptitle(wrapped_title(figure, title), size=12)
    figure.supxlabel(
        "Each sphere is seen from its mean direction (+); rings at 30° and 60° from "
        f"it.\nDots: {min(_DOTS, len(directions))} of the sampled directions. x, y, z: "
        "axes of the frame that the neighbouring joints fix. Peak: highest "
        "log-likelihood.\nSmall discs: the far side, seen through the sphere; and, "
        "where all directions lie close to their mean, what is near it.",
        fontsize=9,
    )
    return figure


def log_density(
    points: Float[np.ndarray, "*points dims"],
    mean: Float[np.ndarray, " dims"],
    covariance: Float[np.ndarray, "dims dims"],
    inv_covariance: Float[np.ndarray, "dims dims"],
) -> Float[np.ndarray, "*points"]:
    """Logarithm of a normal density; not a number where a point is not a number.

    Args:
      points: Where to take it.
      mean: Its mean.
      covariance: Its covariance, of which the determinant is used.
      inv_covariance: The inverse, of which the distances are made.

    Returns:
      One value per point.

    Reference:
      The definition of the normal density.

    >>> found = log_density(np.zeros((1, 2)), np.zeros(2), np.eye(2), np.eye(2))
    >>> print(f"{found[0]:.4f}")
    -1.8379
    """
    offsets = points - mean
    squares = np.einsum("...i,ij,...j->...", offsets, inv_covariance, offsets)
    _, log_determinant = np.linalg.slogdet(covariance)
    return -0.5 * (squares + len(mean) * np.log(2 * np.pi) + log_determinant)


def view_axes(mean: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Axes to the right, up and towards a viewer whom a direction points at.

    Args:
      mean: The direction, of any length; the zero vector is seen along the third axis.

    Returns:
      Orthonormal rows of determinant 1. Up is the coordinate axis that lies most across
      the direction.

    >>> print(view_axes(np.array([0.0, 0.0, 2.0])) + 0.0)
    [[ 0. -1.  0.]
     [ 1.  0.  0.]
     [ 0.  0.  1.]]
    """
    length = np.linalg.norm(mean)
    towards = mean / length if length > 0 else np.eye(3)[2]
    across = np.eye(3)[np.argmin(np.abs(towards))]
    up = across - (across @ towards) * towards
    up /= np.linalg.norm(up)
    return np.stack([np.cross(up, towards), up, towards])


def _grid(
    count: int, columns: int, *, row_height: float, rest: float
) -> tuple["matplotlib.figure.Figure", np.ndarray]:
    """A figure and its grid of axes, of which `count` are used and seen.

    Args:
      count: Panels.
      columns: Panels side by side.
      row_height: Inches of a row.
      rest: Inches of what is above and below the rows.
    """
    rows = -(-count // columns)
    figure = figure_of_size(_WIDTH, row_height * rows + rest, side_inches=0.06)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[count:]:
        axes.set_visible(False)
    return figure, panels


def _draw_ratio(
    axes: "matplotlib.axes.Axes", mean: float, std: float, samples: np.ndarray
) -> "matplotlib.axes.Axes":
    """Draws one density; returns the axes of its logarithm."""
    edges = np.linspace(mean - _STDS * std, mean + _STDS * std, 61)
    centers = np.linspace(edges[0], edges[-1], 241)
    log_values = log_density(
        centers[:, None], np.array([mean]), np.array([[std**2]]), np.array([[std**-2]])
    )
    heights, _ = np.histogram(samples, edges)
    heights = heights / (len(samples) * np.diff(edges))
    axes.stairs(heights, edges, fill=True, color="#CCCCCC", label="samples")
    axes.plot(centers, np.exp(log_values), color=OKABE_ITO[0], label="density")
    axes.axvline(mean, color="black", linewidth=0.9, linestyle=":", label="mean")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(edges[0], edges[-1])
    axes.tick_params(axis="y", colors=OKABE_ITO[0], labelsize=8)
    axes.tick_params(axis="x", labelsize=8)
    logarithm = axes.twinx()
    look = {"color": OKABE_ITO[1], "linestyle": "--", "linewidth": 1.2}
    logarithm.plot(centers, log_values, **look)
    axes.plot([], [], label="log-density (right axis)", **look)  # for the legend
    logarithm.tick_params(axis="y", colors=OKABE_ITO[1], labelsize=8)
    for each in (axes, logarithm):
        each.spines["top"].set_visible(False)
    return logarithm


def _disc(view: np.ndarray, *, side: float = 1.0, reach: float = 1.0) -> np.ndarray:
    """Points of the near (1) or far (-1) side of the unit sphere; else not a number.

    Args:
      view: Axes of the viewer.
      side: Which side.
      reach: Distance from the line of sight at the border.
    """
    right, up = np.meshgrid(*(reach * np.linspace(-1.0, 1.0, _DISC),) * 2)
    squares = right**2 + up**2
    inside = squares <= reach**2 * (1 + 1e-9)
    depth = np.sqrt(np.where(inside, np.maximum(1 - squares, 0.0), np.nan))
    return np.stack([right, up, side * depth], axis=-1) @ view


def _draw_sphere(
    axes: "matplotlib.axes.Axes",
    density: tuple[np.ndarray, np.ndarray, np.ndarray],
    directions: np.ndarray,
) -> tuple["matplotlib.image.AxesImage", float]:
    """Draws one sphere; returns the picture of its near side, and its peak."""
    view = view_axes(density[0])
    seen = directions @ view.T
    shown = seen[:: max(1, -(-len(seen) // _DOTS))]
    is_near = shown[:, 2] >= 0
    discs = [
        ((0.0, 0.0), 1.0, _disc(view), shown[is_near], 1.0, ""),
        (_FAR_CENTER, _SMALL_RADIUS, _disc(view, side=-1.0), shown[~is_near], 1.0,
         "far side"),
    ]  # fmt: skip
    widest = math.degrees(math.acos(np.clip(seen[:, 2].min(), -1.0, 1.0)))
    angle = next((limit for limit in _CLOSE_UP_DEG if widest <= limit), None)
    if angle is not None:
        reach = math.sin(math.radians(angle))
        points = _disc(view, reach=reach)
        label = f"within {angle}°"
        discs.append((_CLOSE_CENTER, _SMALL_RADIUS, points, shown, reach, label))
    pictures = [log_density(disc[2], *density) for disc in discs]
    peak = max(float(np.nanmax(picture)) for picture in pictures)
    turn = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    images = []
    for picture, ((x, y), radius, _, dots, reach, label) in zip(
        pictures, discs, strict=True
    ):
        extent = (x - radius, x + radius, y - radius, y + radius)
        images.append(
            axes.imshow(
                picture - peak,
                extent=extent,
                origin="lower",
                vmin=-_NATS,
                vmax=0.0,
                cmap="viridis",
            )
        )
        axes.plot(*(radius * circle + (x, y)).T, color="#333333", linewidth=0.8)
        places = dots[:, :2] * radius / reach + (x, y)
        look = {"color": "black", "linewidths": 0, "alpha": 0.5}
        axes.scatter(*places.T, s=5 * radius, **look)
        beyond = y + math.copysign(radius + 0.1, y)
        axes.text(x, beyond, label, fontsize=7, ha="center", va="center")
    for degrees in _RINGS_DEG:
        ring = math.sin(math.radians(degrees)) * circle
        axes.plot(*ring.T, color="white", linewidth=0.7, alpha=0.8)
    axes.plot(0, 0, marker="+", markersize=9, color="#D55E00", markeredgewidth=1.5)
    _draw_frame(axes, view)
    axes.set_xlim(-1.5, 1.75)
    axes.set_ylim(-1.45, 1.5)
    axes.set_aspect("equal")
    return images[0], peak


def _draw_frame(axes: "matplotlib.axes.Axes", view: np.ndarray) -> None:
    """Draws the part of each coordinate axis that stands out of the sphere."""
    for name, (right, up, towards) in zip("xyz", view.T, strict=True):
        foot = np.array([right, up])
        tip = _AXIS_LENGTH * foot
        length = math.hypot(right, up)
        # One that points at the viewer or away would hide the middle.
        if length < _MIN_AXIS:
            continue
        if towards < 0:  # what is behind the sphere shows beyond its outline only
            if _AXIS_LENGTH * length <= 1:
                continue
            foot = foot / length
        across, along = np.stack([foot, tip], axis=-1)
        axes.plot(across, along, color="#333333", linewidth=1.2)
        axes.text(1.09 * tip[0], 1.09 * tip[1], name, size=8, ha="center", va="center")
