"""The home: its rooms, furniture, things and cameras, as plain geometry.

Nothing here renders. The same shapes are drawn by `render`, projected by `truth` and reached for by
`behaviour`, so that a box, a picture and a hand agree about where a cup is. Lengths in metres; the world's z
points up, its origin is the middle of the living room's floor. A station is a piece of furniture with a spot to
stand at; its frame has its origin on the floor under the person, x towards the furniture, y to the person's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.furniture import ABOVE, BOARD, CUPBOARDS, HANGS_AT, ROOMS, WALL_AT, door, furniture
from recorder.world.house import DEEP_M, LIVING, WALL_M, Doorway, House, house, layout_of
from recorder.world.movables import paints, things
from recorder.world.optics import Lens
from recorder.world.plan import CameraModel, WorldPlan, rng
from recorder.world.shapes import Material, Shape, Thing, box, cylinder
from recorder.world.shell import board, paint_room, shell

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
    room: str = LIVING

    def to_world(self, local: np.ndarray) -> np.ndarray:
        """(…, 3) points of the station's frame as world points."""
        return Rotation.from_euler("z", self.yaw).apply(local) + [self.x, self.y, 0.0]

    def to_local(self, point: np.ndarray) -> np.ndarray:
        """(…, 3) world points in the station's frame."""
        return Rotation.from_euler("z", -self.yaw).apply(np.asarray(point) - [self.x, self.y, 0.0])


@dataclass(frozen=True)
class Home:
    """A furnished house.

    Attributes:
        stations: by name; the mark, where tones are heard, is one without a board.
        shell: room -> what stands still in it.
        door: of every cupboard, in its own frame.
        sights: room -> what hangs on its walls to be looked at (tv, window, mirror) -> its middle.
        lamps: room -> where its lamp hangs; `lamp` is the living room's.
        daylight: what comes in through the windows, 0 at night to 1.
    """

    house: House
    stations: dict[str, Station]
    things: dict[str, Thing]
    shell: dict[str, tuple[Shape, ...]]
    door: tuple[Shape, ...]
    materials: dict[str, Material]
    sights: dict[str, dict[str, np.ndarray]]
    lamps: dict[str, np.ndarray]
    daylight: float

    @property
    def lamp(self) -> np.ndarray:
        """(3,) the lamp of the living room, where the kit stands."""
        return self.lamps[LIVING]

    @property
    def cupboards(self) -> dict[str, Station]:
        """Door -> the station whose cupboard it closes."""
        return {f"door-{name}": self.stations[name] for name in CUPBOARDS}


# Five places along the living room's walls, and four in a room behind a doorway as seen from it (ahead, to the left).
PLACES = ((1.45, 0.2, 0.0), (0.85, 1.02, 90.0), (-0.75, 1.02, 90.0), (-1.5, 0.35, 180.0), (0.7, -1.02, 270.0))
FAR_M = WALL_M + DEEP_M - WALL_AT - 0.02
BEHIND = ((FAR_M, 0.75, 0.0), (FAR_M, -0.95, 0.0), (1.05, 0.42, 90.0), (1.25, -0.82, 270.0))


def camera_model(plan: WorldPlan, name: str) -> CameraModel:
    """One camera: the principal point is the middle of the picture, the focal length that of its field without lens."""
    focal = plan.width / 2 / np.tan(np.radians(FIELD_OF_VIEW[name]) / 2)
    off = plan.rng(f"lens-{name}").normal(0, 1, 2) * plan.decentred
    lens = Lens(k1=-plan.barrel, p1=float(off[0]), p2=float(off[1]))
    return CameraModel(name, plan.width, plan.height, focal, focal, (plan.width - 1) / 2, (plan.height - 1) / 2, lens)


def looking(at: np.ndarray, target: np.ndarray) -> Rotation:
    """The turn of a level camera (x right, y down, z forward) at `at` that looks at `target`."""
    forward = (target - at) / np.linalg.norm(target - at)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Rotation.from_matrix(np.stack([right, np.cross(forward, right), forward], axis=1))


def _stations(plan: House, random: np.random.Generator) -> dict[str, Station]:
    """Every piece of furniture at one of its room's places."""
    found: dict[str, Station] = {}
    behind = {door.far: door for door in plan.doorways}
    for room, names in ROOMS.items():
        places = PLACES if room == LIVING else tuple(_behind(behind[room], *place) for place in BEHIND)
        for name, spot in zip(names, random.permutation(len(places)), strict=True):
            x, y, yaw = places[spot]
            found[name] = Station(name, x, y, float(np.radians(yaw)), BOARD[name], room)
    return found


def _behind(door: Doorway, ahead: float, left: float, yaw: float) -> tuple[float, float, float]:
    x, y = door.ahead(ahead, left)
    return float(x), float(y), float(np.degrees(door.yaw)) + yaw


def _fittings(station: Station, random: np.random.Generator, materials: dict[str, Material]) -> list[Shape]:
    """A station's furniture, what hangs above it, and two prints beside that."""
    turn = Rotation.from_euler("z", station.yaw)
    parts = furniture(station.name)
    shapes = [Shape(p.kind, p.size, station.to_world(p.pos), p.material, turn * p.turn) for p in parts]
    towards, above = turn.apply([-1.0, 0.0, 0.0]), ABOVE.get(station.name, "")
    if above:
        half = {"tv": (0.37, 0.21), "mirror": (0.34, 0.38), "window": (0.53, 0.41)}[above]
        depth = {"tv": 0.058, "mirror": 0.015, "window": 0.012}[above]
        height = HANGS_AT - (0.05 if above == "mirror" else 0.0)
        shapes.append(board(half, station.to_world(np.array([WALL_AT - depth, 0, height])), towards, above))
    for k, side in enumerate((-1, 1)):
        if above == "window" or (station.name in CUPBOARDS and side > 0):
            continue
        half = tuple(random.uniform(0.09, 0.15, 2))
        at = station.to_world(np.array([WALL_AT - 0.01, side * 0.60, random.uniform(1.4, 1.75)]))
        name = f"print-{station.name}-{k}"
        materials[name] = Material("picture", tuple(random.uniform(0.3, 0.9, 3)), (128, 128), False)
        shapes.append(board(half, at, towards, name))
    return shapes


def _kit() -> list[Shape]:
    """The room kit on its stand, with the speaker beside it."""
    return [
        box((0.05, 0.05, 0.04), (KIT[0], KIT[1], KIT[2] - 0.06), "kit"),
        cylinder(0.05, 0.06, (SPEAKER[0], SPEAKER[1], SPEAKER[2] - 0.04), "metal"),
        box((0.14, 0.16, 0.02), (KIT[0] + 0.02, KIT[1] - 0.04, KIT[2] - 0.12), "table"),
        cylinder(0.025, 0.56, (KIT[0], KIT[1], 0.56), "metal"),
    ]


def _posters(random: np.random.Generator, materials: dict[str, Material]) -> list[Shape]:
    """Two prints on either side of the kit's corner, which the wearer faces while the tones sound."""
    west, south = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    shapes = []
    for number, (at, normal) in enumerate(
        [
            ((-2.585, -1.05, 1.45), west),
            ((-2.585, -0.50, 1.6), west),
            ((-1.5, -2.085, 1.5), south),
            ((-0.9, -2.085, 1.4), south),
        ]
    ):
        materials[f"poster{number}"] = Material("picture", tuple(random.uniform(0.4, 0.9, 3)), (160, 128), False)
        shapes.append(board((0.19, 0.25), np.array(at), normal, f"poster{number}"))
    return shapes


def _wood(random: np.random.Generator) -> tuple[float, float, float]:
    base = ((0.55, 0.36, 0.20), (0.70, 0.52, 0.33), (0.40, 0.27, 0.18), (0.62, 0.57, 0.50), (0.82, 0.80, 0.76))
    return base[int(random.integers(len(base)))]


def _paint(station: Station, random: np.random.Generator) -> dict[str, Material]:
    """What a station's furniture is made of."""
    soft = station.name in ("sofa", "bench", "bed")
    colour = tuple(random.uniform(0.3, 0.75, 3))
    return {
        station.name: Material("cloth" if soft else "planks", colour if soft else _wood(random), (128, 128), shine=0.2),
        f"{station.name}-top": Material("cloth" if soft else "planks", colour if soft else _wood(random), (256, 256)),
    }


def furnish(plan: WorldPlan) -> Home:
    """The home of a plan: its look follows `place`, its light follows `seed` as well."""
    random = rng("home", plan.place)
    rooms = house(layout_of(plan.place), (float(ROOM[0]), float(ROOM[1])))
    materials = {
        "metal": Material("plain", (0.62, 0.62, 0.65), shine=0.6),
        "dark": Material("plain", (0.08, 0.08, 0.09), shine=0.5),
        "frame": Material("plain", (0.85, 0.84, 0.80)),
        "kit": Material("cloth", (0.15, 0.35, 0.3)),
        "curtain": Material("cloth", tuple(random.uniform(0.45, 0.85, 3))),
        "door": Material("planks", _wood(random), (128, 128)),
        "mirror": Material("plain", (0.35, 0.38, 0.40), (32, 32), False, shine=0.5, mirror=0.85),
    }
    materials |= paints(random)
    daylight = float(plan.rng("daylight").choice([0.0, 0.35, 0.75, 1.0]))
    materials["window"] = Material(
        "outside", (daylight, daylight, daylight), (128, 160), False, glow=0.15 + 0.75 * daylight
    )
    materials["tv"] = Material("picture", tuple(plan.rng("tv").uniform(0.2, 0.8, 3)), (96, 160), False, glow=0.5)
    stations = _stations(rooms, random)
    still: dict[str, list[Shape]] = {name: [] for name in rooms.rooms}
    sights: dict[str, dict[str, np.ndarray]] = {name: {} for name in rooms.rooms}
    for name, room in rooms.rooms.items():
        materials |= paint_room(name, random)
        still[name] += shell(room, rooms.doorways, float(ROOM[2]))
    for name, station in stations.items():
        materials |= _paint(station, random)
        still[station.room] += _fittings(station, random, materials)
        if name in ABOVE:
            sights[station.room][ABOVE[name]] = station.to_world(np.array([WALL_AT - 0.05, 0.0, HANGS_AT]))
    still[LIVING] += [*_kit(), *_posters(random, materials)]
    stations["mark"] = Station("mark", *MARK, 1.2)
    lamps = {
        n: np.array([*r.middle, 2.45]) + plan.rng(f"lamp-{n}").uniform(-1, 1, 3) * [0.8, 0.6, 0.05]
        for n, r in rooms.rooms.items()
    }
    parts = {name: tuple(shapes) for name, shapes in still.items()}
    return Home(rooms, stations, things(), parts, door(), materials, sights, lamps, daylight)
