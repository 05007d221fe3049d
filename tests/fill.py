"""Parameters and images of the golden files, which store neither.

A parameter's value follows from its name in the published state dict and the file's
salt: a generator seeded by `[crc32(name), salt]` draws running variances and norm
scales uniformly in 0.5 to 1.5, weights of two or more axes from N(0, 1/fan_in) with
fan_in the product of all axes but the first, and everything else (biases, running
means) from N(0, 0.01). Counters are zero. Two factors keep a deep net's signal alive:
`gain` on every tensor of two or more axes, except the last layer, whose weight and bias
are scaled by `last`.
"""

import json
import math
import pathlib
import zlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"


def fill(name: str, shape: tuple[int, ...], salt: int = 0) -> np.ndarray:
    """Returns the float64 value of the tensor `name`."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape)
    generator = np.random.default_rng([zlib.crc32(name.encode()), salt])
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return 0.5 + generator.random(shape)
    draw = generator.standard_normal(shape)
    return draw / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.1 * draw


def fill_state_dict(
    shapes: dict[str, list[int]],
    *,
    salt: int = 0,
    gain: float = 1.0,
    last: float = 1.0,
    last_layer: str = "none",
) -> dict[str, np.ndarray]:
    """Returns a filled state dict; `last_layer` is the name without `.weight`."""
    filled = {}
    for name, shape in shapes.items():
        factor = gain if len(shape) > 1 else 1.0
        if name.startswith(f"{last_layer}."):
            factor = last
        filled[name] = np.asarray(factor * fill(name, tuple(shape), salt))
    return filled


def golden(
    name: str, *, system: str = "template_warp"
) -> tuple[dict[str, np.ndarray], dict]:
    """Returns the arrays and the settings of a golden file."""
    with np.load(GOLDEN / system / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("meta")))


def golden_shapes(name: str) -> dict[str, list[int]]:
    """Returns names and shapes of a published state dict."""
    return json.loads(
        (GOLDEN / "template_warp" / f"{name}_state_dict.json").read_text()
    )


def waves(coefficients: np.ndarray, size: int) -> np.ndarray:
    """Returns NHWC images, sums of plane waves; `coefficients` is (4, B, C, K)."""
    amplitude, u, v, phase = coefficients[..., None, None]
    rows, columns = np.mgrid[:size, :size]
    angle = 2 * np.pi * (u * rows + v * columns) / size + phase
    return np.moveaxis((amplitude * np.cos(angle)).sum(axis=2), 1, -1)
