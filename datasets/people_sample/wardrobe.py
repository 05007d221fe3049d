"""Who appears in the sample: builds, clothes, skin and hair.

Colours are RGB in 0..1. Patterns are functions of the point of the body in rest, so
they move with the cloth that they are printed on.
"""

import dataclasses

from datasets.people_sample.bodies import Build

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Cloth:
    """The look of a surface.

    Attributes:
      colour: Main colour.
      second: Colour of the pattern.
      pattern: 'plain', 'stripes' (across), 'pinstripes' (along), 'checks', 'print'
        (a sign on the chest), 'zip' (an open front) or 'face'.
      period_m: Length of one repetition of the pattern.
    """

    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    period_m: float = 0.1


@dataclasses.dataclass(frozen=True)
class Person:
    """One person of the sample.

    Attributes:
      name: Subject name, as in Human3.6M.
      build: Proportions.
      skin: Colour of the skin.
      hair: Colour of the hair.
      hair_style: 'short', 'long', 'bun' or 'bald'.
      top: Cloth of shirt, pullover or jacket.
      sleeves: 'none', 'short' or 'long'.
      bottom: Cloth of the trousers.
      trousers: 'short' or 'long'.
      shoes: Colour of the shoes.
    """

    name: str
    build: Build
    skin: Colour
    hair: Colour
    hair_style: str
    top: Cloth
    sleeves: str
    bottom: Cloth
    trousers: str
    shoes: Colour


TRAIN = (
    Person(
        "S1",
        Build(size=0.97, shoulders=0.95, hips=1.05, legs=1.02),
        skin=(0.93, 0.74, 0.62),
        hair=(0.30, 0.17, 0.08),
        hair_style="long",
        top=Cloth((0.80, 0.16, 0.18), (0.95, 0.92, 0.85), "stripes", 0.10),
        sleeves="short",
        bottom=Cloth((0.16, 0.22, 0.42), (0.2, 0.28, 0.5), "pinstripes", 0.03),
        trousers="long",
        shoes=(0.93, 0.93, 0.92),
    ),
    Person(
        "S5",
        Build(size=1.0, legs=0.97, girth=1.14, shoulders=1.04),
        skin=(0.55, 0.37, 0.26),
        hair=(0.06, 0.05, 0.05),
        hair_style="short",
        top=Cloth((0.13, 0.47, 0.36), (0.97, 0.83, 0.25), "print"),
        sleeves="short",
        bottom=Cloth((0.62, 0.55, 0.42)),
        trousers="short",
        shoes=(0.75, 0.12, 0.12),
    ),
    Person(
        "S6",
        Build(size=1.05, shoulders=1.05, arms=1.03, legs=1.03),
        skin=(0.88, 0.68, 0.55),
        hair=(0.72, 0.53, 0.25),
        hair_style="short",
        top=Cloth((0.17, 0.33, 0.70), (0.88, 0.90, 0.94), "zip"),
        sleeves="long",
        bottom=Cloth((0.13, 0.13, 0.15)),
        trousers="long",
        shoes=(0.45, 0.28, 0.16),
    ),
    Person(
        "S7",
        Build(size=0.93, girth=0.93, shoulders=0.92, hips=1.02),
        skin=(0.80, 0.58, 0.42),
        hair=(0.09, 0.06, 0.06),
        hair_style="bun",
        top=Cloth((0.96, 0.78, 0.20), (0.55, 0.25, 0.55), "print"),
        sleeves="none",
        bottom=Cloth((0.40, 0.17, 0.42)),
        trousers="long",
        shoes=(0.15, 0.15, 0.17),
    ),
    Person(
        "S8",
        Build(size=1.03, girth=1.07, torso=1.04, legs=0.98),
        skin=(0.92, 0.72, 0.60),
        hair=(0.45, 0.43, 0.41),
        hair_style="short",
        top=Cloth((0.93, 0.93, 0.90), (0.72, 0.22, 0.20), "checks", 0.085),
        sleeves="long",
        bottom=Cloth((0.24, 0.38, 0.55), (0.3, 0.45, 0.62), "pinstripes", 0.025),
        trousers="long",
        shoes=(0.20, 0.14, 0.10),
    ),
)
TEST = (
    Person(
        "S9",
        Build(size=1.01, shoulders=1.02, arms=0.98, torso=0.98, legs=1.01),
        skin=(0.90, 0.69, 0.56),
        hair=(0.22, 0.13, 0.07),
        hair_style="short",
        top=Cloth((0.88, 0.43, 0.12), (0.16, 0.20, 0.36), "stripes", 0.16),
        sleeves="short",
        bottom=Cloth((0.20, 0.27, 0.33)),
        trousers="long",
        shoes=(0.90, 0.90, 0.90),
    ),
    Person(
        "S11",
        Build(size=0.95, girth=0.97, shoulders=0.96, hips=1.04, legs=0.99),
        skin=(0.66, 0.46, 0.33),
        hair=(0.12, 0.08, 0.06),
        hair_style="long",
        top=Cloth((0.30, 0.62, 0.72), (0.95, 0.95, 0.95), "print"),
        sleeves="long",
        bottom=Cloth((0.36, 0.20, 0.14)),
        trousers="short",
        shoes=(0.25, 0.45, 0.30),
    ),
)
