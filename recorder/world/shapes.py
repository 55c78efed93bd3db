"""Solids and their paint: what the room, the things and the person are made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.texture import Colour

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """What a surface is painted with. `wrap` paints all sides of a thing, otherwise its local x-y plane.

    `per_m` is how often the texture repeats in a metre, 0 where it covers the whole surface; `glow` is the light that
    the surface gives of itself, and `mirror` the share that it reflects, 0 to 1.
    """

    style: str
    base: Colour
    size: tuple[int, int] = (128, 128)
    wrap: bool = True
    shine: float = 0.1
    per_m: tuple[float, float] = (0.0, 0.0)
    glow: float = 0.0
    mirror: float = 0.0


@dataclass(frozen=True)
class Shape:
    """One solid: `size` as in MuJoCo (half lengths of a box, radii of an ellipsoid, (radius, half length))."""

    kind: str
    size: tuple[float, ...]
    pos: np.ndarray
    material: str
    turn: Rotation = field(default_factory=Rotation.identity)


@dataclass(frozen=True)
class Thing:
    """A movable object: its origin is the middle of its foot, `grip` the height at which a hand holds it.

    `big` things are carried with both hands; what is put into a thing with a `floor` lies that high above its foot.
    """

    name: str
    shapes: tuple[Shape, ...]
    grip: float
    height: float
    big: bool = False
    floor: float | None = None


def box(half: tuple[float, float, float], at: Point, material: str) -> Shape:
    """An upright box."""
    return Shape("box", half, np.array(at), material)


def ball(radii: Point, at: Point, material: str, turn: Rotation | None = None) -> Shape:
    """An ellipsoid."""
    return Shape("ellipsoid", radii, np.array(at), material, turn or Rotation.identity())


def cylinder(radius: float, half: float, at: Point, material: str) -> Shape:
    """An upright cylinder."""
    return Shape("cylinder", (radius, half), np.array(at), material)


def rod(radius: float, half: float, at: Point, pitch: float, material: str) -> Shape:
    """A rounded rod, upright but for a pitch (radians, forward)."""
    return Shape("capsule", (radius, half), np.array(at), material, Rotation.from_euler("y", pitch))
