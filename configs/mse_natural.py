r"""Template warp, `mse_natural` (Yoo and Russakovsky 2023).

  python -m posejax.main --config configs/mse_natural.py

Natural template, perceptual + pixel loss. Reported in the authors' notebook as a box
plot only: median per-frame PDJ@0.05 0.33. Not run here on Human3.6M.

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
    return config
