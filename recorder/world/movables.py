"""The nine movable things of the home, each in a colour of its own."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.shapes import Material, Shape, Thing, ball, box, cylinder, rod
from recorder.world.texture import Colour

LEAVES = tuple(
    ball(
        (0.11, 0.035, 0.012),
        (0.06 * float(np.cos(angle)), 0.06 * float(np.sin(angle)), 0.2 + 0.03 * number),
        "leaf",
        Rotation.from_euler("yz", [-0.7, angle]),
    )
    for number, angle in enumerate(np.arange(7) * 2.4)
)
# Shapes, the height of the grip and of the whole thing, metres.
PARTS: dict[str, tuple[tuple[Shape, ...], float, float]] = {
    "cup": (
        (cylinder(0.04, 0.05, (0, 0, 0.05), "cup"), box((0.006, 0.02, 0.025), (0, 0.055, 0.05), "cup")),
        0.06,
        0.10,
    ),
    "kettle": (
        (
            cylinder(0.085, 0.08, (0, 0, 0.08), "kettle"),
            ball((0.06, 0.06, 0.03), (0, 0, 0.165), "metal"),
            rod(0.014, 0.05, (0.11, 0, 0.12), 0.8, "metal"),
            box((0.07, 0.012, 0.012), (-0.02, 0, 0.225), "metal"),
        ),
        0.22,
        0.24,
    ),
    "cloth": ((box((0.11, 0.09, 0.008), (0, 0, 0.008), "cloth"),), 0.015, 0.02),
    "book": ((box((0.08, 0.11, 0.018), (0, 0, 0.018), "book"),), 0.03, 0.04),
    "can": (
        (
            cylinder(0.07, 0.075, (0, 0, 0.075), "can"),
            rod(0.011, 0.09, (0.12, 0, 0.13), 0.9, "can"),
            box((0.05, 0.010, 0.010), (-0.03, 0, 0.19), "metal"),
        ),
        0.18,
        0.20,
    ),
    "bottle": (
        (cylinder(0.036, 0.09, (0, 0, 0.09), "bottle"), cylinder(0.014, 0.04, (0, 0, 0.21), "metal")),
        0.12,
        0.25,
    ),
    "bowl": ((ball((0.085, 0.085, 0.045), (0, 0, 0.045), "bowl"),), 0.06, 0.09),
    "carton": ((box((0.07, 0.10, 0.09), (0, 0, 0.09), "carton"),), 0.12, 0.18),
    "plant": ((cylinder(0.075, 0.065, (0, 0, 0.065), "plant"), *LEAVES), 0.09, 0.38),
}
STYLES = {"cloth": "cloth", "book": "picture", "carton": "picture"}


def things() -> dict[str, Thing]:
    """Every movable thing by name."""
    return {name: Thing(name, shapes, grip, height) for name, (shapes, grip, height) in PARTS.items()}


def paints(random: np.random.Generator) -> dict[str, Material]:
    """A material for each thing; hues are far apart, and which thing has which is random."""
    hues = random.permutation(12) / 12
    result = {"leaf": Material("cloth", (0.18, 0.5, 0.16))}
    for hue, name in zip(hues, PARTS, strict=False):
        colour = _hue(float(hue), float(random.uniform(0.6, 0.9)))
        result[name] = Material(STYLES.get(name, "motifs"), colour, (128, 128), shine=0.3)
    return result


def _hue(hue: float, value: float) -> Colour:
    """A saturated colour of the given hue in [0, 1)."""
    wheel = np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1
    red, green, blue = value * (0.25 + 0.75 * np.clip(wheel, 0, 1))
    return float(red), float(green), float(blue)
