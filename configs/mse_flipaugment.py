r"""Template warp, `mse_flipaugment` (Yoo and Russakovsky 2023).

  python -m posejax.main --config configs/mse_flipaugment.py

T-pose template, pixel loss, half the frames + their mirror images. No figure published.
Not run here on Human3.6M.

Time and hardware on Human3.6M: not run (published: 50 epochs, 189 300 steps of 48
pairs). On the embedded sample: not run.
"""

from ml_collections import ConfigDict

from configs.bases import template_warp


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = template_warp.get_config(variant)
    config.weights.pixel = 1.0
    config.data.pairing = "half_and_flips"
    return config
