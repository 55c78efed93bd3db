"""The paints of a house in few textures: one with a tile for each small paint, one for each wall and floor.

A solid that changes the texture costs as much to draw as a hundred triangles; so most solids share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from recorder.world.plan import rng
from recorder.world.shapes import Material
from recorder.world.texture import STYLES, Colour

CELL_PX, LARGEST_TILE_PX = 64, 256
EDGE_PX = 1.5
"""So far from a tile's edge its picture ends, so that no neighbour shines in."""
TILES = "tiles"


@dataclass(frozen=True)
class Atlas:
    """Where each paint is.

    Attributes:
        pictures: texture -> (H, W, 3) uint8, the first row on top.
        texture: paint -> the texture it is in.
        tile: paint -> (left, bottom, width, height) of its tile, as shares of the texture.
    """

    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    texture: dict[str, str] = field(default_factory=dict)
    tile: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)

    def uv(self, paint: str, uv: np.ndarray) -> np.ndarray:
        """(V, 2) places on a paint, 0 to 1, as places in its texture."""
        left, bottom, width, height = self.tile[paint]
        return uv * [width, height] + [left, bottom]


@lru_cache(maxsize=1024)
def _painted(key: str, name: str, style: str, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A paint's picture; sessions in one place share it, and painting a house takes longer than drawing a second."""
    return STYLES[style](rng("texture", key, name), size, base)


def atlas_of(materials: Mapping[str, Material], place: str) -> Atlas:
    """Paint everything; the random numbers of a paint depend on the place and its own name."""
    atlas = Atlas()
    sides = {name: _side(material) for name, material in materials.items() if not _alone(material)}
    for name, material in materials.items():
        if name not in sides:
            atlas.pictures[name] = _painted(place, name, material.style, material.size, material.base)
            atlas.texture[name], atlas.tile[name] = name, (0.0, 0.0, 1.0, 1.0)
    cells = sum((side // CELL_PX) ** 2 for side in sides.values())
    across = CELL_PX << int(np.ceil(np.log2(max(cells, 1)) / 2))
    whole, used = np.zeros((across, across, 3), np.uint8), 0
    for name in sorted(sides, key=lambda n: (-sides[n], n)):  # the largest first: then all lie on whole squares
        side, material = sides[name], materials[name]
        x, y = (CELL_PX * c for c in _cell(used))
        used += (side // CELL_PX) ** 2
        whole[y : y + side, x : x + side] = _painted(place, name, material.style, (side, side), material.base)
        bottom = across - y - side
        within = (x + EDGE_PX, bottom + EDGE_PX, side - 2 * EDGE_PX, side - 2 * EDGE_PX)
        left, low, width, height = (part / across for part in within)
        atlas.texture[name], atlas.tile[name] = TILES, (left, low, width, height)
    atlas.pictures[TILES] = whole
    return atlas


def _alone(material: Material) -> bool:
    """Whether a paint needs a texture of its own: it repeats, it is a whole floor, or it is a mirror's glass."""
    return bool(material.per_m[0] or material.mirror or max(material.size) > LARGEST_TILE_PX + CELL_PX)


def _side(material: Material) -> int:
    """Of a paint's square tile, pixels: a power of two, so that no smaller copy of the texture mixes neighbours."""
    return int(np.clip(1 << (max(material.size) - 1).bit_length(), CELL_PX, LARGEST_TILE_PX))


def _cell(number: int) -> tuple[int, int]:
    """The column and row of a cell; four that follow each other are a square, and so are sixteen, and so on."""
    bits = range(16)
    return sum((number >> 2 * b & 1) << b for b in bits), sum((number >> 2 * b + 1 & 1) << b for b in bits)
