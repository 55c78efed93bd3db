"""The room: its shell, furniture, things and cameras, as plain geometry.

Nothing here renders. The same shapes are drawn by `render`, projected by `truth` and reached for by
`behaviour`, so that a box, a picture and a hand agree about where a cup is. Lengths in metres; the world's z
points up, its origin is the middle of the floor. A station is a piece of furniture with a spot to stand at; its
frame has its origin on the floor under the person, x towards the furniture, y to the person's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.movables import paints, things
from recorder.world.plan import CameraModel, WorldPlan, rng
from recorder.world.shapes import Material, Shape, Thing, box, cylinder
from recorder.world.texture import Colour

ROOM = np.array([5.2, 4.2, 2.6])
KIT = np.array([-2.3, -1.8, 1.25])
SPEAKER = KIT + [0.10, -0.12, 0.0]
MARK = (-1.76, -1.30, np.radians(225.0))
THIRD_AT, THIRD_LOOKS_AT = np.array([-2.42, -1.92, 2.15]), np.array([0.25, 0.25, 0.75])
# Room kits by the corner they stand in, seen from the first one's; kit-02 is worn. The first one's camera is `third`.
CORNERS = {"kit-01": (1, 1, 1), "kit-03": (-1, -1, 1), "kit-04": (-1, 1, 1), "kit-05": (1, -1, 1)}
ROOM_KITS = {kit: KIT * corner for kit, corner in CORNERS.items()}
VIEW_OF = {kit: "third" if kit == "kit-01" else kit for kit in CORNERS}
VIEWS = {VIEW_OF[kit]: (THIRD_AT * corner, THIRD_LOOKS_AT * corner) for kit, corner in CORNERS.items()}
FIELD_OF_VIEW = dict.fromkeys(VIEWS, 78.0) | {"head": 92.0, "eye": 72.0}


@dataclass(frozen=True)
class Station:
    """A piece of furniture and the spot to stand at: `x, y` metres, `yaw` radians, `height` of its board."""

    name: str
    x: float
    y: float
    yaw: float
    height: float

    def to_world(self, local: np.ndarray) -> np.ndarray:
        """(…, 3) points of the station's frame as world points."""
        return Rotation.from_euler("z", self.yaw).apply(local) + [self.x, self.y, 0.0]


@dataclass(frozen=True)
class Home:
    """A furnished room."""

    stations: dict[str, Station]
    things: dict[str, Thing]
    shell: tuple[Shape, ...]
    door: tuple[Shape, ...]
    materials: dict[str, Material]
    lamp: np.ndarray


# Five places along the walls, and five pieces of furniture that any of them may hold (`place` draws which).
PLACES = ((1.45, 0.2, 0.0), (0.85, 1.02, 90.0), (-0.75, 1.02, 90.0), (-1.5, 0.35, 180.0), (0.7, -1.02, 270.0))
BOARD = {"table": 0.76, "counter": 0.92, "shelf": 1.08, "sideboard": 0.84, "cabinet": 0.96}
BOARD_FRONT, BOARD_DEPTH, BOARD_WIDTH = 0.30, 0.55, 1.2
# Where things may stand on a board: x, y in the station's frame, two rows.
SLOTS = tuple((x, y) for x in (0.44, 0.60) for y in (-0.40, -0.20, 0.0, 0.20, 0.40))
# The cupboard on the cabinet: its hinge (station frame), width, and the slot inside it.
HINGE, DOOR_WIDTH, DOOR_HEIGHT = np.array([0.60, 0.42, 1.34]), 0.46, 0.42
INSIDE = np.array([0.70, 0.16, 1.36])
WOOD: tuple[Colour, ...] = ((0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.40, 0.27, 0.18), (0.62, 0.57, 0.50))


def camera_model(plan: WorldPlan, name: str) -> CameraModel:
    """The pinhole of one camera; the principal point is the middle of the picture."""
    focal = plan.width / 2 / np.tan(np.radians(FIELD_OF_VIEW[name]) / 2)
    return CameraModel(name, plan.width, plan.height, focal, focal, (plan.width - 1) / 2, (plan.height - 1) / 2)


def looking(at: np.ndarray, target: np.ndarray) -> Rotation:
    """The turn of a level camera (x right, y down, z forward) at `at` that looks at `target`."""
    forward = (target - at) / np.linalg.norm(target - at)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Rotation.from_matrix(np.stack([right, np.cross(forward, right), forward], axis=1))


def _board(half: tuple[float, float], pos: np.ndarray, normal: np.ndarray, material: str) -> Shape:
    """A thin board whose picture stands upright and faces along `normal`."""
    up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.5 else np.array([0.0, 1.0, 0.0])
    turn = Rotation.from_matrix(np.stack([np.cross(up, normal), up, normal], axis=1))
    return Shape("box", (*half, 0.02), pos - 0.02 * normal, material, turn)


def _shell(random: np.random.Generator, materials: dict[str, Material]) -> list[Shape]:
    """Floor, ceiling, four walls and the pictures on them."""
    half = ROOM / 2
    shapes = [
        _board((half[0], half[1]), np.zeros(3), np.array([0.0, 0.0, 1.0]), "floor"),
        _board((half[0], half[1]), np.array([0, 0, ROOM[2]]), np.array([0.0, 0.0, -1.0]), "ceiling"),
        _board((0.9, 0.6), np.array([0, 0, 0.012]), np.array([0.0, 0.0, 1.0]), "rug"),
    ]
    materials["floor"] = Material(
        str(random.choice(["planks", "tiles"])), WOOD[random.integers(4)], (768, 768), False, 0.2
    )
    materials["ceiling"] = Material("plain", (0.86, 0.85, 0.82), (512, 512), False)
    materials["rug"] = Material("picture", tuple(random.uniform(0.2, 0.7, 3)), (256, 384), False)
    styles = random.permutation(["bricks", "motifs", "motifs", "planks"])
    for wall, (normal, along) in enumerate(zip(NORMALS, (1, 1, 0, 0), strict=True)):
        pos = -normal * half + np.array([0, 0, half[2]])
        materials[f"wall{wall}"] = Material(str(styles[wall]), tuple(random.uniform(0.4, 0.8, 3)), (448, 896), False)
        shapes.append(_board((half[along], half[2]), pos, normal, f"wall{wall}"))
        for k in range(3):
            centre = pos + 0.015 * normal
            centre[along] += (k - 1) * half[along] * 0.62 + random.uniform(-0.15, 0.15)
            centre[2] = random.uniform(1.45, 1.85)
            size = random.uniform(0.16, 0.34, 2)
            materials[f"print{wall}{k}"] = Material("picture", tuple(random.uniform(0.3, 0.9, 3)), (192, 192), False)
            shapes.append(_board((size[0], size[1]), centre, normal, f"print{wall}{k}"))
    return shapes


NORMALS = tuple(np.array(n, float) for n in ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)))


def _furniture(name: str) -> list[Shape]:
    """A board on legs or on a chest, in the station's frame."""
    height, x = BOARD[name], BOARD_FRONT + BOARD_DEPTH / 2
    half_width, half_depth = BOARD_WIDTH / 2, BOARD_DEPTH / 2
    shapes = [box((half_depth, half_width, 0.02), (x, 0, height - 0.02), f"{name}-top")]
    if name in ("table", "shelf"):
        shapes += [
            box((0.03, 0.03, (height - 0.04) / 2), (x + sx * 0.22, sy * 0.53, (height - 0.04) / 2), name)
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
        shapes.append(box((half_depth - 0.05, half_width - 0.08, 0.012), (x, 0, height * 0.35), f"{name}-top"))
    else:
        body = (height - 0.04) / 2
        shapes.append(box((half_depth - 0.02, half_width - 0.01, body), (x + 0.02, 0, body), name))
        shapes += [box((0.012, 0.05, 0.01), (BOARD_FRONT, y, height - 0.2), "metal") for y in (-0.3, 0.3)]
    if name == "cabinet":
        depth, back = 0.16, HINGE[0] + 0.16
        middle = HINGE[1] - DOOR_WIDTH / 2
        for z in (HINGE[2], HINGE[2] + DOOR_HEIGHT):
            shapes.append(box((depth, DOOR_WIDTH / 2, 0.012), (back, middle, z), name))
        for y in (HINGE[1], HINGE[1] - DOOR_WIDTH):
            shapes.append(box((depth, 0.012, DOOR_HEIGHT / 2), (back, y, HINGE[2] + DOOR_HEIGHT / 2), name))
        shapes.append(
            box((0.01, DOOR_WIDTH / 2, DOOR_HEIGHT / 2), (back + depth, middle, HINGE[2] + DOOR_HEIGHT / 2), "metal")
        )
    return shapes


def _door() -> tuple[Shape, ...]:
    """The cupboard's door in its own frame: origin at the foot of the hinge, closed along -y."""
    middle = (0.0, -DOOR_WIDTH / 2, DOOR_HEIGHT / 2)
    return (
        box((0.012, DOOR_WIDTH / 2 - 0.005, DOOR_HEIGHT / 2 - 0.005), middle, "door"),
        box((0.02, 0.008, 0.05), (-0.025, -DOOR_WIDTH + 0.05, DOOR_HEIGHT / 2), "metal"),
    )


def furnish(plan: WorldPlan) -> Home:
    """The home of a plan: its look follows `place`, its light follows `seed` as well."""
    random = rng("home", plan.place)
    materials = {"metal": Material("plain", (0.62, 0.62, 0.65), shine=0.6), "kit": Material("cloth", (0.15, 0.35, 0.3))}
    materials |= paints(random)
    shapes = _shell(random, materials)
    order = random.permutation(len(PLACES))
    stations: dict[str, Station] = {}
    for name, spot in zip(BOARD, order, strict=True):
        x, y, yaw = PLACES[spot]
        station = Station(name, x, y, float(np.radians(yaw)), BOARD[name])
        stations[name] = station
        turn = Rotation.from_euler("z", station.yaw)
        for part in _furniture(name):
            shapes.append(Shape(part.kind, part.size, station.to_world(part.pos), part.material, turn * part.turn))
        wood = WOOD[random.integers(4)]
        materials[name] = Material("planks", wood, (192, 192), shine=0.2)
        materials[f"{name}-top"] = Material("planks", WOOD[random.integers(4)], (256, 256), shine=0.3)
    materials["door"] = Material("motifs", tuple(random.uniform(0.4, 0.9, 3)), (192, 192))
    stations["mark"] = Station("mark", *MARK, 1.2)
    shapes += [
        box((0.05, 0.05, 0.04), (KIT[0], KIT[1], KIT[2] - 0.06), "kit"),
        cylinder(0.05, 0.06, (SPEAKER[0], SPEAKER[1], SPEAKER[2] - 0.04), "metal"),
        box((0.14, 0.16, 0.02), (KIT[0] + 0.02, KIT[1] - 0.04, KIT[2] - 0.12), "table"),
        cylinder(0.025, 0.56, (KIT[0], KIT[1], 0.56), "metal"),
    ]
    lamp = np.array([0.0, 0.0, 2.45]) + plan.rng("lamp").uniform(-1, 1, 3) * [0.9, 0.7, 0.05]
    return Home(stations, things(), tuple(shapes), _door(), materials, lamp)
