r"""Template warp, `mse_natural_flipaugment_twostepwarp` (Yoo and Russakovsky 2023).

  python -m posejax.main --config configs/mse_natural_flipaugment_twostepwarp.py

The authors' final system. Published: PDJ@0.05 42.61, normalised L2 6.43 % (S9, S11).
Not run here on Human3.6M.

Time and hardware on Human3.6M: not run (published: 50 epochs, 189 300 steps of 48
pairs). On the embedded sample (800 steps): about five minutes on two CPU cores.
"""

from ml_collections import ConfigDict

from configs.bases import template_warp


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = template_warp.get_config(variant)
    config.template = "natural"
    config.weights.pixel = 1.0
    config.data.pairing = "half_and_flips"
    config.scheme = "two_step"
    return config
