"""What is drawn at once: everything of a room, or of a movable body, that has the same finish.

A house has some 300 solids, and each thing that is drawn costs some 50 us; together they are some 60 batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from recorder.world.atlas import TILES, Atlas
from recorder.world.mesh import Mesh, joined, mesh_of
from recorder.world.scene import Home
from recorder.world.shapes import Material, Shape

GLOSSY = 0.4
"""What shines this much or more is drawn glossy, all else matte."""


@dataclass(frozen=True, order=True)
class Finish:
    """How a surface looks beside its picture: `glow` is its own light, `mirror` the share that it reflects."""

    texture: str
    glossy: bool
    glow: float
    mirror: float

    @property
    def name(self) -> str:
        return f"{self.texture}/{'glossy' if self.glossy else 'matte'}/{self.glow:g}/{self.mirror:g}"


@dataclass(frozen=True)
class Batch:
    """Something drawn at once.

    Attributes:
        body: that it moves with; empty for what stands still.
        room: that it stands in; empty for what may be in any.
        finish: of all of it.
        walkable: whether one can stand on it.
        mesh: in the body's frame.
        glass: the box to draw instead of the mesh: MuJoCo mirrors only in boxes.
    """

    body: str
    room: str
    finish: Finish
    walkable: bool
    mesh: Mesh
    glass: Shape | None = None


def batches_of(
    home: Home, bodies: Mapping[str, tuple[Shape, ...]], materials: Mapping[str, Material], atlas: Atlas
) -> list[Batch]:
    """All that can be drawn."""
    found: list[Batch] = []
    for room, shapes in home.shell.items():
        found += (replace(batch, room=room) for batch in _batches(shapes, materials, atlas))
    for name, shapes in bodies.items():
        found += (replace(batch, body=name) for batch in _batches(shapes, materials, atlas))
    return found


def _batches(shapes: Iterable[Shape], materials: Mapping[str, Material], atlas: Atlas) -> Iterator[Batch]:
    alike: dict[tuple[Finish, bool], list[Mesh]] = {}
    for shape in shapes:
        material = materials[shape.material]
        finish = Finish(
            atlas.texture[shape.material], material.shine >= GLOSSY, round(material.glow, 2), material.mirror
        )
        mesh = mesh_of(shape, material.wrap, material.per_m)
        mesh = replace(mesh, uv=atlas.uv(shape.material, mesh.uv))
        if material.mirror:
            yield Batch("", "", finish, False, mesh, shape)
        else:
            alike.setdefault((finish, walked_on(shape)), []).append(mesh)
    for (finish, walkable), meshes in sorted(alike.items(), key=lambda item: (item[0][0].texture != TILES, item[0])):
        yield Batch("", "", finish, walkable, joined(meshes))


def walked_on(shape: Shape) -> bool:
    """Whether a solid is a floor or a rug."""
    return shape.material.endswith(("-floor", "-rug"))


def balls(batches: list[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """(G, 3) middles and (G,) radii of balls round batches, in their bodies' frames."""
    middles, radii = zip(*(batch.mesh.ball for batch in batches), strict=True)
    return np.array(middles), np.array(radii)
