"""Solids as triangles, so that many of them can be drawn at once.

Every solid is a cube whose six sides are sheets of squares, bent to the solid's form; so a texture lies on each side
whole, and every vertex knows its place on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recorder.world.shapes import Shape

# Of each side: the way out of it, and the ways of its picture to the right and up, so that right x up is out.
SIDES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
)
LIT_EVERY_M = 0.65
"""Light is reckoned at vertices alone: a flat side gets some no farther from each other than this."""
SQUARES = ((0.02, 2), (0.12, 4), (np.inf, 6))
"""Of a side of a round solid up to that radius: the rounder, the more triangles there are to draw."""


@dataclass(frozen=True)
class Mesh:
    """Triangles: `vertices`, `normals` (V, 3); `uv` (V, 2), 0 to 1 from left to right and up; `faces` (F, 3) int."""

    vertices: np.ndarray
    normals: np.ndarray
    uv: np.ndarray
    faces: np.ndarray

    @property
    def ball(self) -> tuple[np.ndarray, float]:
        """A ball round it: its middle (3,), and its radius."""
        middle = (self.vertices.min(axis=0) + self.vertices.max(axis=0)) / 2
        return middle, float(np.linalg.norm(self.vertices - middle, axis=1).max())


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several as one."""
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.normals for mesh in meshes]),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.faces + at for mesh, at in zip(meshes, first[:-1], strict=True)]),
    )


def mesh_of(shape: Shape, wrap: bool, per_m: tuple[float, float] = (0.0, 0.0)) -> Mesh:
    """A solid in the frame of the body it belongs to.

    Args:
        shape: the solid.
        wrap: whether a texture lies on each side, or once on the plane of x and y.
        per_m: how often the texture repeats in a metre of that plane; 0 where it covers the whole.
    """
    sides = {"box": _box, "ellipsoid": _ellipsoid, "capsule": _capsule, "cylinder": _cylinder}[shape.kind](shape.size)
    mesh = joined(sides)
    uv = mesh.uv
    if not wrap:
        plane = mesh.vertices[:, :2]
        uv = plane * per_m + 0.5 if per_m[0] else plane / (2 * np.abs(plane).max(axis=0)) + 0.5
    return Mesh(shape.turn.apply(mesh.vertices) + shape.pos, shape.turn.apply(mesh.normals), uv, mesh.faces)


def _sheet(right: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 2) the points of a grid, and (F, 3) its triangles, seen from before."""
    a, b = np.meshgrid(right, up)
    low = (np.arange(len(right) - 1) + len(right) * np.arange(len(up) - 1)[:, None]).ravel()
    corners = [low, low + 1, low + 1 + len(right), low + len(right)]
    faces = np.concatenate([np.stack([corners[k] for k in of], axis=1) for of in ((0, 1, 2), (0, 2, 3))])
    return np.column_stack([a.ravel(), b.ravel()]), faces


def _steps(length: float) -> np.ndarray:
    return np.linspace(-1, 1, 1 + max(1, int(np.ceil(length / LIT_EVERY_M))))


def _box(size: tuple[float, ...]) -> list[Mesh]:
    found = []
    for out, right, up in np.array(SIDES, float):
        grid, faces = _sheet(_steps(2 * np.abs(right) @ size), _steps(2 * np.abs(up) @ size))
        on = out + grid @ [right, up]
        found.append(Mesh(on * size, np.tile(out, (len(on), 1)), (grid + 1) / 2, faces))
    return found


def _round(radius: float) -> np.ndarray:
    """Steps along a side that are even angles once it is bent."""
    squares = next(count for largest, count in SQUARES if radius <= largest)
    return np.tan(np.linspace(-1, 1, squares + 1) * np.pi / 4)


def _ellipsoid(size: tuple[float, ...]) -> list[Mesh]:
    found = []
    for out, right, up in np.array(SIDES, float):
        grid, faces = _sheet(_round(max(size)), _round(max(size)))
        way = _unit(out + grid @ [right, up])
        found.append(Mesh(way * size, _unit(way / size), (grid + 1) / 2, faces))
    return found


def _capsule(size: tuple[float, ...]) -> list[Mesh]:
    """Two half balls apart; the sides are torn in the middle and drawn to the length."""
    radius, half = size
    steps, found = _round(radius), []
    torn = np.sort(np.append(np.where(steps, steps, -1e-9), 1e-9))
    for out, right, up in np.array(SIDES, float):
        grid, faces = _sheet(steps, steps if out[2] else torn)
        way = _unit(out + grid @ [right, up])
        at = way * radius + np.sign(way[:, 2:]) * [0, 0, half]
        uv = (grid + 1) / 2 if out[2] else np.column_stack([grid[:, 0], at[:, 2] / (half + radius)]) / 2 + 0.5
        found.append(Mesh(at, way, uv, faces))
    return found


def _cylinder(size: tuple[float, ...]) -> list[Mesh]:
    radius, half = size
    steps, found = _round(radius), []
    for out, right, up in np.array(SIDES, float):
        grid, faces = _sheet(steps, steps if out[2] else np.array([-1.0, 1.0]))
        on = out + grid @ [right, up]
        away = np.maximum(np.linalg.norm(on[:, :2], axis=1), 1e-9)[:, None]
        # The ends are squares within squares, drawn to rings within rings.
        around = on[:, :2] / away * (np.abs(grid).max(axis=1, keepdims=True) if out[2] else 1.0)
        normals = np.tile(out, (len(on), 1)) if out[2] else np.column_stack([around, np.zeros(len(on))])
        found.append(Mesh(np.column_stack([radius * around, half * on[:, 2]]), normals, (grid + 1) / 2, faces))
    return found


def _unit(way: np.ndarray) -> np.ndarray:
    return way / np.linalg.norm(way, axis=1, keepdims=True)
