"""What the chips would measure: body IMUs, the thermal array, and at a room kit air, light, warmth and field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from recorder.world.body import SEGMENTS
from recorder.world.house import House
from recorder.world.person import GRID_HZ, Person
from recorder.world.plan import ImuTruth, WorldPlan
from recorder.world.scene import ROOM_KITS
from recorder.world.script import Noise
from recorder.world.walls import detour, seen

FIRST = "kit-01"
GRAVITY = 9.81
DIFFERENCE_S = 2e-3
THERMAL_FIELD_DEG = 60.0
# How much warmer than the air a clothed trunk, bare skin and a full kettle look (AMG8833, 8-14 um).
WARMTH = {"neck": 9.5, "body": 6.0, "armu": 5.0, "armd": 7.0, "legu": 4.5, "legd": 3.5}
GIRTH = {"neck": 0.11, "body": 0.20, "armu": 0.06, "armd": 0.06, "legu": 0.09, "legd": 0.07}
# Green, red and blue of the two lights that the renderer draws with, green being 1, and how much of what a photodiode
# sees of them is infrared (an LED lamp; the sky through a window).
LAMP_GRB, LAMP_INFRARED = np.array([1.0, 1.045, 0.896]), 0.08
SKY_GRB, SKY_INFRARED = np.array([1.0, 0.968, 1.097]), 0.32
# Where the four sensors of an AK9753 look, as (right, down) from straight ahead, and how wide, degrees; and the current
# that a warm thing gives, pA for a kelvin over a steradian. A person at 2 m gives some hundred pA.
QUADRANTS = ((18.0, 0.0), (0.0, 18.0), (-18.0, 0.0), (0.0, -18.0))
QUADRANT_WIDTH_DEG, PA_PER_KELVIN_STERADIAN = 22.0, 1500.0
EARTH_UT = np.array([0.0, 20.0, -44.0])
"""The Earth's field in the world's axes, as the simulated BNO055 has it."""
NEAR_M, STEAM_M = 1.2, 3.0
"""How far somebody's warmth, breath and shade reach, and steam."""
POCKET_UT_M3 = 0.25
"""Keys and a telephone, as a dipole: a quarter of a microtesla at a metre."""


def wxyz(turn: Rotation) -> np.ndarray:
    """(..., 4) quaternions with the scalar first."""
    return np.roll(turn.as_quat(), 1, axis=-1)


def mounted(person: Person, segment: str) -> np.ndarray:
    """(3,) where the IMU sits in its segment's frame: the middle of a limb, the back, the back of the head."""
    one = person.one
    lengths = {"armu": one.upper_arm, "armd": one.forearm, "legu": one.thigh, "legd": one.shank}
    if segment[1:] in lengths:
        return np.array([0.0, 0.0, -lengths[segment[1:]] / 2])
    return np.array([-0.10, 0.0, 0.14]) if segment == "neck" else np.array([-0.11, 0.0, 0.6 * one.trunk])


def imu(position: Callable[[np.ndarray], np.ndarray], turn: Rotation, gyro: np.ndarray, t: np.ndarray) -> ImuTruth:
    """A perfect IMU.

    Args:
        position: where the sensor is, (N, 3) metres at times (N,) seconds.
        turn: world <- sensor at `t`. gyro: (N, 3) rad/s, sensor frame.
        t: (N,) seconds.
    """
    h = DIFFERENCE_S
    acceleration = (position(t + h) - 2 * position(t) + position(t - h)) / h**2
    back = turn.inv()
    return ImuTruth(wxyz(turn), np.degrees(gyro), back.apply(acceleration), back.apply(np.array([0.0, 0.0, GRAVITY])))


def thermal(
    plan: WorldPlan,
    house: House,
    people: Sequence[Person],
    eye: np.ndarray,
    turn: Rotation,
    t: np.ndarray,
    kit: str = FIRST,
) -> np.ndarray:
    """(N, 64) degC, row-major from the top left: an AMG8833 beside a third-person camera; walls are in its way.

    Args:
        eye: (3,) where it is. turn: world <- camera (x right, y down, z forward).
    """
    random = _own(plan, "thermal", kit)
    focal = 4 / np.tan(np.radians(THERMAL_FIELD_DEG / 2))
    row, column = np.divmod(np.arange(64), 8)
    rays = np.column_stack([(column - 3.5) / focal, (row - 3.5) / focal, np.ones(64)])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    half_pixel = np.radians(THERMAL_FIELD_DEG / 16)
    warm = np.zeros((len(t), 64))
    for kind, points in _warm_parts(people, t):
        way = turn.inv().apply(points - eye)
        far = np.linalg.norm(way, axis=1, keepdims=True)
        angle = np.arccos(np.clip(way / far @ rays.T, -1, 1))
        radius = np.arctan(GIRTH[kind] / far)
        share = np.clip((radius + half_pixel - angle) / (2 * half_pixel), 0, 1) * np.minimum(
            1, (radius / half_pixel) ** 2
        )
        warm = np.maximum(warm, WARMTH[kind] * share * seen(house, eye, points)[:, None])
    walls = 21.5 + random.normal(0, 0.25, 64) + random.uniform(-1, 1)
    return walls + warm


def _warm_parts(people: Sequence[Person], t: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Every segment of everybody: its key in `WARMTH`, and where its middle is, (N, 3)."""
    for person in people:
        for segment in SEGMENTS:
            kind = segment if segment in WARMTH else segment[1:]
            yield kind, person.point(segment, mounted(person, segment), t)


def air(
    plan: WorldPlan, house: House, people: Sequence[Person], noises: Sequence[Noise], t: np.ndarray, kit: str = FIRST
) -> np.ndarray:
    """(N, 4) temperature degC, pressure Pa, relative humidity %, gas resistance ohm at a kit.

    People nearby warm and dampen the air and lower the gas resistance with a lag of some seconds; what is poured
    (steam) does the same for the humidity, the less the farther it is.
    """
    random = _own(plan, "air", kit)
    grid = people[0].grid
    steam = np.zeros(len(grid))
    for event in noises:
        if event.kind == "pour":
            at = np.array(event.at)[None]
            near = float(np.exp(-_way_m(house, at, kit) / STEAM_M)[0])
            steam += near * (grid >= event.t) * np.exp(-np.maximum(grid - event.t, 0) / 12.0)
    near = np.sum([_nearness(house, person, kit) for person in people], axis=0)
    breath = np.interp(t, grid, gaussian_filter1d(near, 4 * GRID_HZ))
    damp = np.interp(t, grid, gaussian_filter1d(steam, 2 * GRID_HZ))
    slow = np.sin(2 * np.pi * t[:, None] / random.uniform(60, 300, 4) + random.uniform(0, 6.28, 4))
    base = np.array([21.5, 101_300.0, 44.0, 95_000.0]) + random.normal(0, 1, 4) * [1.0, 400.0, 4.0, 12_000.0]
    effect = np.column_stack([0.8 * breath, 0 * breath, 4 * breath + 3 * damp, -0.35 * base[3] * breath])
    return base + slow * [0.1, 6.0, 0.4, 1500.0] + effect


def light(
    plan: WorldPlan, house: House, people: Sequence[Person], lamp: np.ndarray, t: np.ndarray, kit: str = FIRST
) -> np.ndarray:
    """(N, 5) at a kit: illuminance lux, share of infrared, and green, red, blue lux of what it looks at.

    A lamp at `lamp` (3,), whose direct light people can stand in; what walls and ceiling give back of it; and a
    sky behind passing clouds. Whoever is near takes away some of all that is not direct.
    """
    random = _own(plan, "light", kit)
    grid = people[0].grid
    near = np.minimum(np.sum([_nearness(house, person, kit) for person in people], axis=0), 1.0)
    direct = _direct(people, lamp, kit)
    indirect, sky = random.uniform(80, 160), random.uniform(40, 300)
    clouds = np.sin(2 * np.pi * grid / random.uniform(20, 90) + random.uniform(0, 6.28))
    lamps = direct + indirect * (1 - 0.3 * near)
    skies = sky * np.exp(0.35 * clouds) * (1 - 0.2 * near)
    lux = lamps + skies
    infrared = (LAMP_INFRARED * lamps + SKY_INFRARED * skies) / lux
    walls, clothes = random.uniform(0.85, 1.1, 3), random.uniform(0.4, 1.2, 3)
    given_back = 0.25 * (lamps[:, None] * LAMP_GRB + skies[:, None] * SKY_GRB)
    colours = given_back * (walls + near[:, None] * (clothes - walls))
    return _on(t, grid, np.column_stack([lux, infrared, colours]))


def _direct(people: Sequence[Person], lamp: np.ndarray, kit: str = FIRST) -> np.ndarray:
    """(G,) lux straight from the lamp, on the people's grid: less while a head or a trunk is in its way."""
    way = lamp - ROOM_KITS[kit]
    far = float(np.linalg.norm(way))
    lux = 300.0 * way[2] / far**3
    left = np.ones(len(people[0].grid))
    for person in people:
        for segment in ("neck", "body"):
            at = person.point(segment, mounted(person, segment), person.grid) - ROOM_KITS[kit]
            along = np.clip(at @ way / far**2, 0, 1)
            beside = np.linalg.norm(at - along[:, None] * way, axis=1)
            left *= 1 - 0.9 * np.exp(-((beside / (1.5 * GIRTH[segment])) ** 2))
    return lux * left


def infrared(
    plan: WorldPlan,
    house: House,
    people: Sequence[Person],
    eye: np.ndarray,
    turn: Rotation,
    t: np.ndarray,
    kit: str = FIRST,
) -> np.ndarray:
    """(N, 4) pA: the four sensors of an AK9753 beside a third-person camera; right, below, left, above.

    Args:
        eye: (3,) where it is. turn: world <- camera (x right, y down, z forward).
    """
    random = _own(plan, "infrared", kit)
    grid = people[0].grid[::2]
    right, down = np.radians(QUADRANTS).T
    axes = np.column_stack([np.tan(right), np.tan(down), np.ones(4)])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    warm = np.zeros((len(grid), 4))
    for kind, points in _warm_parts(people, grid):
        way = turn.inv().apply(points - eye)
        far = np.linalg.norm(way, axis=1, keepdims=True)
        angle = np.degrees(np.arccos(np.clip(way / far @ axes.T, -1, 1)))
        steradians = 2 * np.pi * (1 - np.cos(np.arctan(GIRTH[kind] / far)))
        felt = WARMTH[kind] * steradians * np.exp(-0.5 * (angle / QUADRANT_WIDTH_DEG) ** 2)
        warm += felt * seen(house, eye, points)[:, None]
    drift = np.sin(2 * np.pi * grid / random.uniform(60, 300) + random.uniform(0, 6.28))
    walls = random.normal(0, 40, 4) + 15 * drift[:, None]
    return _on(t, grid, walls + PA_PER_KELVIN_STERADIAN * warm)


def magnetic(plan: WorldPlan, people: Sequence[Person], t: np.ndarray, kit: str = FIRST) -> np.ndarray:
    """(N, 3) uT at a kit, which stands along the world's axes: the Earth, iron in the kit, and whoever comes near.

    Walls are no obstacle to a field.
    """
    random = _own(plan, "magnetic", kit)
    grid, pockets = people[0].grid, 0.0
    for person in people:
        way = person.point("body", np.zeros(3), grid) - ROOM_KITS[kit]
        far = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 0.4)
        moment = random.normal(0, 1, 3)
        moment *= POCKET_UT_M3 / np.linalg.norm(moment)
        along = way / far
        pockets = pockets + (3 * along * (along @ moment)[:, None] - moment) / far**3
    drift = np.sin(2 * np.pi * grid[:, None] / random.uniform(60, 300, 3) + random.uniform(0, 6.28, 3))
    return _on(t, grid, EARTH_UT + random.normal(0, 3, 3) + 0.1 * drift + pockets)


def _own(plan: WorldPlan, what: str, kit: str) -> np.random.Generator:
    """Random numbers for one sense of one kit."""
    return plan.rng(what if kit == FIRST else f"{what} of {kit}")


def _nearness(house: House, person: Person, kit: str) -> np.ndarray:
    """(G,) 1 at a kit, falling with the person's way to it through the doorways, on the person's grid."""
    ground = person.ground(person.grid)
    return np.asarray(np.exp(-_way_m(house, np.column_stack([ground, 0 * ground[:, 0]]), kit) / NEAR_M))


def _way_m(house: House, points: np.ndarray, kit: str) -> np.ndarray:
    """(N,) how far air has from points (N, 3) on the floor plan to a kit: around the walls."""
    level = np.column_stack([points[:, :2], 0 * points[:, 0]])
    at = np.array([*ROOM_KITS[kit][:2], 0.0])
    return np.linalg.norm(level - at, axis=1) + detour(house, at, level)


def _on(t: np.ndarray, grid: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(N, C) at times (N,) what was computed on a grid: the same values at the same times, whoever asks."""
    return np.stack([np.interp(t, grid, column) for column in columns.T], axis=1)
