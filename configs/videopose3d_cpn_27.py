r"""VideoPose3D, CPN, 27 frames (Pavllo et al. 2019).

  python -m posejax.main --config configs/videopose3d_cpn_27.py

Fully supervised on S1, S5 to S8. Published (S9, S11): P1 48.8 mm, P2 38.0 mm.
Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    config.data.labelled.input_2d = "cpn_ft_h36m_dbb"
    config.data.test.input_2d = "cpn_ft_h36m_dbb"
    return config
