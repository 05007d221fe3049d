"""Smooth curves in time and rotations about the axes, the material of motion.

Everything is a function of time in seconds, so that any frame of a take can be had
without those before it.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Wander:
    """An aimless smooth curve: a sum of sines.

    Attributes:
      amplitudes: (terms,) their amplitudes.
      frequencies_hz: (terms,) their frequencies.
      phases: (terms,) their phases, radians.
      mean: Value about which the curve wanders.
    """

    amplitudes: np.ndarray
    frequencies_hz: np.ndarray
    phases: np.ndarray
    mean: float = 0.0

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Values at `times` (any shape, seconds)."""
        angles = 2 * np.pi * times[..., None] * self.frequencies_hz + self.phases
        return self.mean + (self.amplitudes * np.sin(angles)).sum(axis=-1)


def wander(
    rng: np.random.Generator,
    size: float,
    *,
    mean: float = 0.0,
    fastest_hz: float = 0.35,
) -> Wander:
    """Draws a curve whose standard deviation is about `size`.

    Args:
      rng: Source of chance.
      size: Standard deviation over time.
      mean: Mean over time.
      fastest_hz: Upper limit of the frequencies; the lowest is a sixth of it.
    """
    terms = 4
    frequencies = rng.uniform(fastest_hz / 6, fastest_hz, terms)
    amplitudes = rng.uniform(0.5, 1.0, terms)
    amplitudes *= size * np.sqrt(2.0) / np.linalg.norm(amplitudes)
    return Wander(amplitudes, frequencies, rng.uniform(0, 2 * np.pi, terms), mean)


def ease(fraction: np.ndarray) -> np.ndarray:
    """Smooth way from 0 to 1, at rest at both ends; clipped outside."""
    x = np.clip(fraction, 0.0, 1.0)
    return x * x * x * (x * (6 * x - 15) + 10)


@dataclasses.dataclass(frozen=True)
class Keys:
    """A curve that moves from one value to the next and rests in between.

    Attributes:
      values: (count, dim) the values.
      starts: (count,) seconds at which the move to each value begins.
      durations: (count,) seconds that each move takes.
    """

    values: np.ndarray
    starts: np.ndarray
    durations: np.ndarray

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Values at `times` (frames,), shape (frames, dim)."""
        moved = ease((times[:, None] - self.starts) / self.durations)
        steps = np.diff(self.values, axis=0, prepend=np.zeros_like(self.values[:1]))
        # Before the first move the curve already rests at the first value.
        moved[:, 0] = 1.0
        return moved @ steps


def keys(
    rng: np.random.Generator,
    values: np.ndarray,
    *,
    rest_s: tuple[float, float],
    move_s: tuple[float, float],
) -> Keys:
    """Draws the times of a sequence of values: each is reached, then held for a while.

    Args:
      rng: Source of chance.
      values: (count, dim) values in order.
      rest_s: Shortest and longest rest.
      move_s: Shortest and longest move.
    """
    rests = rng.uniform(*rest_s, len(values))
    moves = rng.uniform(*move_s, len(values))
    starts = np.concatenate([[0.0], np.cumsum(rests + moves)[:-1]])
    starts[1:] -= rng.uniform(0, rest_s[1])
    return Keys(values, starts, moves)


def about_x(angles: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about x, radians: y towards z."""
    return _about(angles, 1, 2)


def about_y(angles: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about y, radians: z towards x."""
    return _about(angles, 2, 0)


def about_z(angles: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about z, radians: x towards y."""
    return _about(angles, 0, 1)


def _about(angles: np.ndarray, first: int, second: int) -> np.ndarray:
    angles = np.asarray(angles, np.float64)
    matrices = np.zeros((*angles.shape, 3, 3))
    matrices[..., 3 - first - second, 3 - first - second] = 1.0
    matrices[..., first, first] = matrices[..., second, second] = np.cos(angles)
    matrices[..., second, first] = np.sin(angles)
    matrices[..., first, second] = -np.sin(angles)
    return matrices
