"""The shell of a room: floor, ceiling, rug, and walls with doorways in them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.house import DOOR_TOP_M, DOOR_WIDTH_M, WALL_M, Doorway, Room
from recorder.world.shapes import Material, Shape
from recorder.world.texture import Colour

NORMALS = tuple(np.array(n, float) for n in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)))
THICK_M = 0.02
FLOORS: tuple[Colour, ...] = ((0.55, 0.38, 0.24), (0.66, 0.52, 0.36), (0.44, 0.32, 0.24), (0.62, 0.60, 0.56))


def board(half: tuple[float, ...], pos: np.ndarray, normal: np.ndarray, material: str) -> Shape:
    """A thin board whose picture stands upright and faces along `normal`; `pos` is on its surface."""
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.5 else np.array([0.0, 1.0, 0.0])
    turn = Rotation.from_matrix(np.stack([np.cross(up, normal), up, normal], axis=1))
    return Shape("box", (half[0], half[1], THICK_M), pos - THICK_M * normal, material, turn)


def paint_room(name: str, random: np.random.Generator) -> dict[str, Material]:
    """Wallpaper, floor, ceiling and rug of one room; the walls are pale, as walls are."""
    tone = 0.62 + 0.25 * random.random() + 0.09 * random.standard_normal(3)
    style = str(random.choice(["paper", "paper", "stripes", "bricks"])) if name != "kitchen" else "paper"
    floor = str(random.choice(["planks", "tiles"])) if name != "kitchen" else "tiles"
    return {
        f"{name}-wall": Material(style, _colour(tone), (560, 728), False, per_m=(0.15, 0.1925)),
        f"{name}-floor": Material(floor, FLOORS[int(random.integers(4))], (512, 512), False, 0.2),
        f"{name}-ceiling": Material("plain", (0.88, 0.87, 0.84), (256, 256), False),
        f"{name}-rug": Material("rug", _colour(random.uniform(0.2, 0.7, 3)), (192, 288), False),
        "jamb": Material("plain", (0.84, 0.82, 0.78)),
    }


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0.1, 0.95)
    return float(red), float(green), float(blue)


def shell(room: Room, doorways: tuple[Doorway, ...], height: float) -> list[Shape]:
    """Floor, ceiling, rug and walls of a room, and the jambs of the doorways that begin in it."""
    middle, half = np.append(room.middle, 0.0), room.half
    up, rug = np.array([0.0, 0.0, 1.0]), np.minimum([0.9, 0.6], half - 1.1)
    shapes = [
        board(tuple(half + WALL_M), middle, up, f"{room.name}-floor"),
        board(tuple(half), middle + height * up, -up, f"{room.name}-ceiling"),
        board(tuple(rug), middle + 0.012 * up, up, f"{room.name}-rug"),
    ]
    for normal in NORMALS:
        wall = middle - normal * [*half, 0.0]
        along = np.cross(up, normal)
        reach = float(np.abs(along[:2]) @ half)
        doors = [float((np.append(d.at, 0.0) - wall) @ along) for d in doorways if _in_wall(d, room, wall, normal)]
        edges = [-reach, *(e for at in sorted(doors) for e in (at - DOOR_WIDTH_M / 2, at + DOOR_WIDTH_M / 2)), reach]
        name = f"{room.name}-wall"
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            at = wall + along * (left + right) / 2 + up * height / 2
            shapes.append(board(((right - left) / 2, height / 2), at, normal, name))
            at = wall + along * (left + right) / 2 + up * 0.04 + 0.012 * normal
            shapes.append(board(((right - left) / 2, 0.04), at, normal, "jamb"))
        lintel = (height - DOOR_TOP_M) / 2
        shapes += [
            board((DOOR_WIDTH_M / 2, lintel), wall + along * at + up * (height - lintel), normal, name) for at in doors
        ]
    return shapes + [jamb for door in doorways if door.near == room.name for jamb in _jambs(door)]


def _in_wall(door: Doorway, room: Room, wall: np.ndarray, normal: np.ndarray) -> bool:
    """Whether a doorway goes through the wall of a room whose inner face is at `wall` and looks along `normal`."""
    return room.name in (door.near, door.far) and abs((np.append(door.at, 0.0) - wall) @ normal) < WALL_M


def _jambs(door: Doorway) -> list[Shape]:
    turn = Rotation.from_euler("z", door.yaw)
    post, beam = (WALL_M / 2 + 0.03, 0.025, DOOR_TOP_M / 2), (WALL_M / 2 + 0.03, DOOR_WIDTH_M / 2, 0.025)
    sides = [np.append(door.ahead(WALL_M / 2, s * DOOR_WIDTH_M / 2), DOOR_TOP_M / 2) for s in (-1, 1)]
    top = np.append(door.at, DOOR_TOP_M)
    return [*(Shape("box", post, at, "jamb", turn) for at in sides), Shape("box", beam, top, "jamb", turn)]
