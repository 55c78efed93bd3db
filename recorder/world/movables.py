"""The movable things of the home, each in a colour of its own."""

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


def _tub(name: str, x: float, y: float, height: float) -> tuple[Shape, ...]:
    """An open box: a floor and four walls, as a basin, a basket or a suitcase is."""
    half = height / 2
    return (
        box((x, y, 0.008), (0, 0, 0.008), name),
        *(box((0.008, y, half), (sign * x, 0, half), name) for sign in (-1, 1)),
        *(box((x, 0.008, half), (0, sign * y, half), name) for sign in (-1, 1)),
    )


def _thing(name: str, shapes: tuple[Shape, ...], grip: float, height: float) -> Thing:
    return Thing(name, shapes, grip, height, name in BIG, FLOORS.get(name))


BIG = ("basin", "basket", "suitcase", "pillow", "blanket", "carton")
FLOORS = {"basin": 0.03, "basket": 0.04, "suitcase": 0.05, "bowl": 0.05, "pan": 0.04, "plate": 0.03}
SHAPES: dict[str, tuple[tuple[Shape, ...], float, float]] = {
    # Shapes, the height of the grip and of the whole thing, metres.
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
    "plate": ((cylinder(0.105, 0.009, (0, 0, 0.009), "plate"),), 0.02, 0.02),
    "pan": (
        (cylinder(0.11, 0.022, (0, 0, 0.022), "dark"), box((0.09, 0.012, 0.008), (-0.18, 0, 0.035), "pan")),
        0.04,
        0.05,
    ),
    "spoon": (
        (
            box((0.055, 0.005, 0.004), (-0.03, 0, 0.008), "metal"),
            ball((0.024, 0.015, 0.006), (0.045, 0, 0.008), "metal"),
        ),
        0.02,
        0.02,
    ),
    "knife": (
        (box((0.05, 0.008, 0.006), (-0.05, 0, 0.008), "knife"), box((0.06, 0.011, 0.002), (0.06, 0, 0.008), "metal")),
        0.02,
        0.02,
    ),
    "bread": ((ball((0.11, 0.055, 0.05), (0, 0, 0.05), "bread"),), 0.07, 0.10),
    "sponge": ((box((0.045, 0.03, 0.016), (0, 0, 0.016), "sponge"),), 0.03, 0.04),
    "basin": (_tub("basin", 0.13, 0.17, 0.11), 0.10, 0.12),
    "basket": (_tub("basket", 0.12, 0.16, 0.18), 0.16, 0.18),
    "suitcase": (
        (*_tub("suitcase", 0.14, 0.20, 0.12), box((0.01, 0.20, 0.13), (0.14, 0, 0.24), "suitcase")),
        0.10,
        0.37,
    ),
    "shirt": ((box((0.10, 0.08, 0.014), (0, 0, 0.014), "garment"),), 0.02, 0.03),
    "towel": ((box((0.09, 0.12, 0.018), (0, 0, 0.018), "towel"),), 0.03, 0.04),
    "dryer": (
        (
            Shape("cylinder", (0.032, 0.075), np.array([0.03, 0, 0.15]), "dryer", Rotation.from_euler("y", np.pi / 2)),
            box((0.014, 0.014, 0.065), (0, 0, 0.065), "dryer"),
        ),
        0.07,
        0.18,
    ),
    "comb": (
        (box((0.008, 0.012, 0.06), (0, 0, 0.06), "comb"), box((0.016, 0.008, 0.04), (0.02, 0, 0.08), "comb")),
        0.03,
        0.12,
    ),
    "phone": ((box((0.037, 0.072, 0.005), (0, 0, 0.006), "phone"),), 0.015, 0.012),
    "remote": ((box((0.022, 0.075, 0.010), (0, 0, 0.010), "dark"),), 0.02, 0.02),
    "tablet": ((box((0.085, 0.125, 0.005), (0, 0, 0.006), "tablet"),), 0.015, 0.012),
    "iron": (
        (box((0.10, 0.05, 0.022), (0.01, 0, 0.022), "iron"), box((0.06, 0.012, 0.010), (0, 0, 0.09), "dark")),
        0.09,
        0.10,
    ),
    "pillow": ((ball((0.15, 0.19, 0.06), (0, 0, 0.06), "pillow"),), 0.06, 0.12),
    "blanket": ((box((0.15, 0.19, 0.035), (0, 0, 0.035), "blanket"),), 0.04, 0.07),
}
STYLES = {
    **dict.fromkeys(("cloth", "towel", "shirt", "blanket", "pillow", "basket"), "cloth"),
    **dict.fromkeys(("book", "carton", "tablet"), "picture"),
    **dict.fromkeys(("plate", "basin", "spoon", "knife", "phone"), "plain"),
}
# Glossy screens, and things whose own colour is known.
COLOURS: dict[str, Colour] = {"bread": (0.72, 0.50, 0.26), "plate": (0.9, 0.9, 0.88), "phone": (0.05, 0.05, 0.07)}


def things() -> dict[str, Thing]:
    """Every movable thing by name."""
    return {name: _thing(name, *parts) for name, parts in SHAPES.items()}


def paints(random: np.random.Generator) -> dict[str, Material]:
    """A material for each thing; hues are spread, and which thing has which is random."""
    hues = random.permutation(len(SHAPES)) / len(SHAPES)
    result = {"leaf": Material("cloth", (0.18, 0.5, 0.16))}
    for hue, name in zip(hues, SHAPES, strict=True):
        colour = COLOURS.get(name, _hue(float(hue), *random.uniform([0.5, 0.35], [0.9, 0.85])))
        paint = "garment" if name == "shirt" else name  # a person's shirt has the other name
        result[paint] = Material(STYLES.get(name, "motifs"), colour, (64, 64), shine=0.3)
    return result


def _hue(hue: float, value: float, strength: float = 0.75) -> Colour:
    """A colour of the given hue in [0, 1)."""
    wheel = np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1
    red, green, blue = value * (1 - strength + strength * np.clip(wheel, 0, 1))
    return float(red), float(green), float(blue)
