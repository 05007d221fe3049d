import json
import pathlib

import numpy as np
import pytest

from posejax.render.body import template_figure, template_parts
from posejax.templates import TEMPLATES

NAMES = [("natural", "natural"), ("t_pose", "template")]
GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "template_warp"


@pytest.mark.golden
@pytest.mark.parametrize(("name", "key"), NAMES)
def test_blobs_equal_the_reference(name, key):
    golden = np.load(GOLDEN / "templates.npz")
    assert json.loads(str(golden["meta"]))["stride"]["64"] == 1
    parts = template_parts(TEMPLATES[name], size=64)
    np.testing.assert_allclose(
        np.moveaxis(parts, -1, 0), golden[f"out/{key}_64"], atol=1e-6
    )


def test_a_template_picture_shows_all_parts_and_anchors_in_pixels():
    template = TEMPLATES["natural"]
    figure = template_figure(template, title="at rest")
    axes = figure.axes[0]
    dots = next(line for line in axes.lines if line.get_label() == "anchor")
    np.testing.assert_array_equal(dots.get_xydata(), template.anchors)
    assert len(axes.lines) == 1 + len(template.parts)
    assert axes.get_title() == "at rest"
    assert axes.get_xlabel() == "x [px]"
    low, high = axes.get_ylim()
    assert low > high  # y runs down
