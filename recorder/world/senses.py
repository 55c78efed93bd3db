"""What the chips would measure: body IMUs, the thermal array, and the air."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from recorder.world.body import SEGMENTS
from recorder.world.person import GRID_HZ, Person
from recorder.world.plan import ImuTruth, WorldPlan
from recorder.world.scene import KIT
from recorder.world.script import Script

GRAVITY = 9.81
DIFFERENCE_S = 2e-3
THERMAL_FIELD_DEG = 60.0
# How much warmer than the air a clothed trunk, bare skin and a full kettle look (AMG8833, 8-14 um).
WARMTH = {"neck": 9.5, "body": 6.0, "armu": 5.0, "armd": 7.0, "legu": 4.5, "legd": 3.5}
GIRTH = {"neck": 0.11, "body": 0.20, "armu": 0.06, "armd": 0.06, "legu": 0.09, "legd": 0.07}


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


def thermal(plan: WorldPlan, person: Person, eye: np.ndarray, turn: Rotation, t: np.ndarray) -> np.ndarray:
    """(N, 64) degC, row-major from the top left: an AMG8833 beside the third-person camera.

    Args:
        eye: (3,) where it is. turn: world <- camera (x right, y down, z forward).
    """
    random = plan.rng("thermal")
    focal = 4 / np.tan(np.radians(THERMAL_FIELD_DEG / 2))
    row, column = np.divmod(np.arange(64), 8)
    rays = np.column_stack([(column - 3.5) / focal, (row - 3.5) / focal, np.ones(64)])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    half_pixel = np.radians(THERMAL_FIELD_DEG / 16)
    warm = np.zeros((len(t), 64))
    for segment in SEGMENTS:
        kind = segment if segment in WARMTH else segment[1:]
        way = turn.inv().apply(person.point(segment, mounted(person, segment), t) - eye)
        far = np.linalg.norm(way, axis=1, keepdims=True)
        angle = np.arccos(np.clip(way / far @ rays.T, -1, 1))
        radius = np.arctan(GIRTH[kind] / far)
        share = np.clip((radius + half_pixel - angle) / (2 * half_pixel), 0, 1) * np.minimum(
            1, (radius / half_pixel) ** 2
        )
        warm = np.maximum(warm, WARMTH[kind] * share)
    walls = 21.5 + random.normal(0, 0.25, 64) + random.uniform(-1, 1)
    return walls + warm


def air(plan: WorldPlan, person: Person, script: Script, t: np.ndarray) -> np.ndarray:
    """(N, 4) temperature degC, pressure Pa, relative humidity %, gas resistance ohm at the kit.

    A person nearby warms and dampens the air and lowers the gas resistance with a lag of some seconds; pouring
    (steam) does the same for the humidity.
    """
    random = plan.rng("air")
    grid = person.grid
    near = np.exp(-np.hypot(*(person.ground(grid) - KIT[:2]).T) / 1.2)
    steam = np.zeros(len(grid))
    for event in script.noises:
        if event.kind == "pour":
            steam += (grid >= event.t) * np.exp(-np.maximum(grid - event.t, 0) / 12.0)
    breath = np.interp(t, grid, gaussian_filter1d(near, 4 * GRID_HZ))
    damp = np.interp(t, grid, gaussian_filter1d(steam, 2 * GRID_HZ))
    slow = np.sin(2 * np.pi * t[:, None] / random.uniform(60, 300, 4) + random.uniform(0, 6.28, 4))
    base = np.array([21.5, 101_300.0, 44.0, 95_000.0]) + random.normal(0, 1, 4) * [1.0, 400.0, 4.0, 12_000.0]
    effect = np.column_stack([0.8 * breath, 0 * breath, 4 * breath + 3 * damp, -0.35 * base[3] * breath])
    return base + slow * [0.1, 6.0, 0.4, 1500.0] + effect
