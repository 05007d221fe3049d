"""The rotation, scale and translation that bring one set of joints nearest to another.

Joints are row vectors: a pose X, (joints, 3), is turned by `X @ rotation`. Nearest is
in the sense of least squares over the joints, and a rotation never is a reflection.

A 3 x 3 matrix is decomposed by one-sided Jacobi rotations, written out entry by entry
so that every operation runs over the whole batch. Its derivative is the closed form of
the polar factor's, which exists wherever the rotation itself is unique.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.numerics import safe_divide, safe_sqrt

# Three are not always enough in float32, four are in float64: the error of a sweep is
# the square of the last one's.
_SWEEPS = 4
_PAIRS = ((0, 1), (0, 2), (1, 2))

# A compiler may work out a condition anew in every kernel that takes it, and round it
# differently there. Nothing below is therefore decided by rounding alone: rows of equal
# length, or at right angles, would be turned otherwise than their axes.

# Three entries, three rows: one array each, of the shape of the batch.
_Vector = Sequence[Array]
_Matrix = Sequence[_Vector]


def best_rotation(
    covariance: Float[Array, "*batch 3 3"],
) -> tuple[Float[Array, "*batch 3 3"], Float[Array, "*batch"]]:
    """The rotation R with the largest trace(R^T C), and that trace.

    With C = V S U^T, R = V U^T and the trace is the sum of the singular values; if that
    R were a reflection, the direction of the smallest value is reversed and the value
    counts negative. Where several rotations are equally good (collinear or coincident
    joints) one of them is returned, with zero gradient.

    Args:
      covariance: C, the sum over joints of the outer products of source and target,
        `source.T @ target`, both centred. Any unit.

    Returns:
      The rotation, to be used as `source @ rotation`, and the signed sum of the
      singular values of C, in the unit of C.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> rotation, total = best_rotation(jnp.diag(jnp.array([3.0, 2.0, -1.0])))
    >>> print(jnp.diag(rotation).round(3), total.round(3))
    [1. 1. 1.] 4.0
    """
    require_shape("covariance", covariance, (3, 3), "sum the outer products.")
    rows, total = _rotation(_entries(covariance))
    return _stacked(rows), total


def least_squares_scale(
    source: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch"]:
    """The factor s with the smallest sum of |s source - target|^2 over the joints.

    Nothing is centred: s = sum<target, source> / sum<source, source>.

    Args:
      source: Joints to be scaled, any unit.
      target: Joints to be met, any unit.

    Returns:
      One factor per pose, unit of `target` by that of `source`; zero where all source
      joints are at the origin.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> print(least_squares_scale(jnp.ones((4, 2)), jnp.full((4, 2), 3.0)))
    3.0
    """
    require_poses(("joints", "dims"), source=source, target=target)
    return safe_divide(
        jnp.sum(target * source, axis=(-2, -1)), jnp.sum(source**2, axis=(-2, -1))
    )


def rigid_transform(
    source: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> tuple[Float[Array, "*batch 3 3"], Float[Array, "*batch 3"]]:
    """The rotation R and translation t for which source @ R + t is nearest to target.

    Args:
      source: Joints to be moved, any unit.
      target: Joints to be met, same unit.

    Returns:
      R and t, t in the unit of the joints.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(rigid_transform(pose, pose + 1.0)[1].round(3))
    [1. 1. 1.]
    """
    require_poses(("joints", 3), source=source, target=target)
    source_mean, target_mean = _centroid(source), _centroid(target)
    centred = source - source_mean[..., None, :]
    rotation, _ = best_rotation(
        _covariance(centred, target - target_mean[..., None, :])
    )
    return rotation, target_mean - jnp.sum(
        source_mean[..., :, None] * rotation, axis=-2
    )


def rigid_alignment(
    source: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch joints 3"]:
    """The source turned and moved, not scaled, to be nearest to the target.

    Args:
      source: Joints to be moved, any unit.
      target: Joints to be met, same unit.

    Returns:
      The moved source, same unit; its centroid is the target's.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(f"{rigid_alignment(pose, pose + 1.0)[2, 1]:.3f}")
    3.000
    """
    require_poses(("joints", 3), source=source, target=target)
    return jnp.stack(_aligned(source, target, with_scale=False), axis=-1)


def similarity_alignment(
    source: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch joints 3"]:
    """The source turned, moved and scaled to be nearest to the target (Procrustes).

    Args:
      source: Joints to be moved, any unit.
      target: Joints to be met, any unit.

    Returns:
      The moved source in the unit of the target. Where all source joints coincide:
      every joint at the target's centroid.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(f"{similarity_alignment(5 * pose, pose + 1.0)[2, 1]:.3f}")
    3.000
    """
    require_poses(("joints", 3), source=source, target=target)
    return jnp.stack(_aligned(source, target, with_scale=True), axis=-1)


def similarity_distances(
    source: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch joints"]:
    """Distance of each joint from the target after `similarity_alignment`.

    The aligned pose is never put together, which on a CPU takes longer than the rest.

    Args:
      source: Joints to be moved, any unit.
      target: Joints to be met, any unit.

    Returns:
      One distance per joint in the unit of the target; zero has zero gradient.

    Reference:
      Kabsch, Acta Crystallographica A32, 1976; Umeyama, PAMI 13(4), 1991.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(similarity_distances(jnp.zeros((3, 3)), 3 * pose).round(3))
    [2.236 2.828 4.123]
    """
    require_poses(("joints", 3), source=source, target=target)
    x, y, z = _aligned(source, target, with_scale=True)
    squared = (x - target[..., 0]) ** 2 + (y - target[..., 1]) ** 2
    return safe_sqrt(squared + (z - target[..., 2]) ** 2)


def require_poses(last: tuple[int | str, ...], **poses: Array) -> None:
    """Raises ValueError unless poses end in these axes and have one shape."""
    for name, pose in poses.items():
        require_shape(name, pose, last, "give one row per joint.")
    require_equal_shapes(
        "give both poses in one joint set, as many of each; see `skeletons.remap`.",
        **{name: pose.shape for name, pose in poses.items()},
    )


def _aligned(source: Array, target: Array, *, with_scale: bool) -> list[Array]:
    """x, y and z of the aligned joints."""
    mean = _centroid(target)
    centred = source - _centroid(source)[..., None, :]
    covariance = _covariance(centred, target - mean[..., None, :])
    rows, total = _rotation(_entries(covariance))
    scale = jnp.ones_like(total)
    if with_scale:
        scale = safe_divide(total, jnp.sum(centred**2, axis=(-2, -1)))
    # Coordinate by coordinate: on a CPU a batch of products of 17 x 3 with 3 x 3
    # matrices takes ten times as long.
    columns = zip(*rows, strict=True)
    return [
        scale[..., None]
        * sum(centred[..., k] * c[..., None] for k, c in enumerate(col))
        + mean[..., j, None]
        for j, col in enumerate(columns)
    ]


def _centroid(joints: Array) -> Array:
    """Mean over the joints, as a product: reductions over a middle axis are slow."""
    weights = jnp.full(joints.shape[-2], 1 / joints.shape[-2], joints.dtype)
    return jnp.einsum("...ji,j->...i", joints, weights, precision="highest")


def _covariance(source: Array, target: Array) -> Array:
    return jnp.einsum("...ji,...jk->...ik", source, target, precision="highest")


def _entries(matrix: Array) -> _Matrix:
    return tuple(tuple(matrix[..., i, j] for j in range(3)) for i in range(3))


def _stacked(rows: _Matrix) -> Array:
    flat = jnp.stack([entry for row in rows for entry in row], axis=-1)
    return flat.reshape(*flat.shape[:-1], 3, 3)


@jax.custom_jvp
def _rotation(covariance: _Matrix) -> tuple[_Matrix, Array]:
    """Rotation and trace of `best_rotation`, by entries."""
    size = jnp.stack([jnp.abs(entry) for row in covariance for entry in row]).max(
        axis=0
    )
    unit = jnp.where(size > 0, size, 1.0)
    # U^T C^T = diag(S) V^T: turned in their planes until they are orthogonal, the rows
    # of C become s_i u_i, and those of the identity v_i.
    rows: list[_Vector] = [tuple(entry / unit for entry in row) for row in covariance]
    one, zero = jnp.ones_like(unit), jnp.zeros_like(unit)
    axes: list[_Vector] = [
        tuple(one if i == j else zero for j in range(3)) for i in range(3)
    ]
    for p, q in _PAIRS * _SWEEPS:
        cosine, sine = _jacobi(rows[p], rows[q])
        for vectors in (rows, axes):
            vectors[p], vectors[q] = (
                _combined(cosine, vectors[p], -sine, vectors[q]),
                _combined(sine, vectors[p], cosine, vectors[q]),
            )
    _sort_descending(rows, axes)
    frame = _frame(rows[0], rows[1])
    rotation = _product(axes, frame)
    total = _inner(rows, frame)
    return rotation, total * size


@_rotation.defjvp
def _rotation_jvp(primals, tangents):
    """d(trace) = <R, dC>, dR = R [w], (tr(P) I - P) w = a, P = R^T C.

    [w] is the cross product matrix of w, and [a] = R^T dC - (R^T dC)^T.
    """
    rotation, total = _rotation(*primals)
    turned = _product(rotation, primals[0])
    moved = _product(rotation, tangents[0])
    skew = tuple(moved[k][j] - moved[j][k] for j, k in ((1, 2), (2, 0), (0, 1)))
    is_zero = total <= 0
    unit = jnp.where(is_zero, 1.0, total)
    system = [[-entry / unit for entry in row] for row in turned]
    for i in range(3):
        system[i][i] = 1 + system[i][i]
    # Columns of the adjugate of the symmetric system.
    adjugate = [_cross(system[i - 2], system[i - 1]) for i in range(3)]
    determinant = _dot(system[0], adjugate[0])
    # The determinant is the product of s_i + s_j, each as a share of the trace.
    is_free = is_zero | (determinant < 64 * jnp.finfo(unit.dtype).eps)
    divisor = jnp.where(is_free, 1.0, unit * determinant)
    w = [jnp.where(is_free, 0.0, _dot(row, skew) / divisor) for row in adjugate]
    d_rotation = tuple(_cross(row, w) for row in rotation)
    d_total = _inner(rotation, tangents[0])
    return (rotation, total), (d_rotation, d_total)


def _jacobi(a: _Vector, b: _Vector) -> tuple[Array, Array]:
    """Cosine and sine of the smaller angle that makes a and b orthogonal."""
    squared_a, squared_b, twice = _dot(a, a), _dot(b, b), 2 * _dot(a, b)
    noise = 4 * jnp.finfo(twice.dtype).eps * (squared_a + squared_b)
    twice = jnp.where(jnp.abs(twice) > noise, twice, 0.0)
    difference = squared_b - squared_a
    divisor = jnp.abs(difference) + jnp.sqrt(difference**2 + twice**2)
    tangent = jnp.where(difference < 0, -twice, twice)
    tangent = tangent / jnp.where(divisor > 0, divisor, 1.0)
    cosine = lax.rsqrt(1 + tangent**2)
    return cosine, cosine * tangent


def _sort_descending(rows: list, axes: list) -> None:
    """Orders the rows by length, in place; the axes keep their handedness."""
    squared = [_dot(row, row) for row in rows]
    margin = 1 - 64 * jnp.finfo(squared[0].dtype).eps
    for p, q in ((0, 1), (1, 2), (0, 1)):
        swap = squared[p] < margin * squared[q]
        for vectors in (rows, axes):
            vectors[p], vectors[q] = (
                _selected(swap, vectors[q], vectors[p]),
                _selected(swap, tuple(-x for x in vectors[p]), vectors[q]),
            )
        squared[p], squared[q] = (
            jnp.where(swap, squared[q], squared[p]),
            jnp.where(swap, squared[p], squared[q]),
        )


def _frame(first: _Vector, second: _Vector) -> tuple[_Vector, _Vector, _Vector]:
    """A right-handed frame along two orthogonal vectors; any where one vanishes."""
    eps = jnp.finfo(first[0].dtype).eps
    one, zero = jnp.ones_like(first[0]), jnp.zeros_like(first[0])
    squared = _dot(first, first)
    u = _unit(_selected(squared > 0, first, (one, zero, zero)))
    rest = _combined(one, second, -_dot(u, second), u)
    is_noise = _dot(rest, rest) <= (4 * eps) ** 2 * squared
    is_along_x = jnp.abs(u[0]) > 0.5
    other = _selected(is_along_x, (-u[1], u[0], zero), (zero, -u[2], u[1]))
    v = _unit(_selected(is_noise, other, rest))
    return u, v, _cross(u, v)


def _dot(a, b) -> Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a, b) -> _Vector:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _combined(x: Array, a: _Vector, y: Array, b: _Vector) -> _Vector:
    return x * a[0] + y * b[0], x * a[1] + y * b[1], x * a[2] + y * b[2]


def _selected(condition: Array, a: _Vector, b: _Vector) -> _Vector:
    return tuple(jnp.where(condition, x, y) for x, y in zip(a, b, strict=True))


def _unit(a: _Vector) -> _Vector:
    inverse = lax.rsqrt(_dot(a, a))
    return a[0] * inverse, a[1] * inverse, a[2] * inverse


def _product(a: _Matrix, b: _Matrix) -> _Matrix:
    """Entries of A^T B."""
    return tuple(
        tuple(
            a[0][i] * b[0][j] + a[1][i] * b[1][j] + a[2][i] * b[2][j] for j in range(3)
        )
        for i in range(3)
    )


def _inner(a: _Matrix, b: _Matrix) -> Array:
    """Trace of A^T B."""
    return _dot(a[0], b[0]) + _dot(a[1], b[1]) + _dot(a[2], b[2])
