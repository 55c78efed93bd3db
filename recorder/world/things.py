"""Where the movable things are: on a board, in a hand, or on the way from one to the other; and cupboard doors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from recorder.world.body import PALM
from recorder.world.furniture import HINGE
from recorder.world.person import Person, rounded
from recorder.world.scene import Home
from recorder.world.script import Hold, Props

BLEND_S, DOOR_SOFT_S = 0.25, 0.08


class Things:
    """Poses of all things, and of the cupboards' doors."""

    def __init__(self, home: Home, props: Props, people: Sequence[Person]) -> None:
        self._home, self._people = home, people
        self._holds = props.holds
        grid = people[0].grid
        self._doors = {n: CubicSpline(grid, rounded(k, DOOR_SOFT_S, grid)[:, 0]) for n, k in props.doors.items()}
        self.names = tuple(home.things)
        self.doors = tuple(home.cupboards)

    def _held(self, hold: Hold, grip: float, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, yaw and tilt while one hold lasts."""
        if hold.hand is None:
            return np.tile(hold.at, (len(t), 1)), np.full(len(t), hold.yaw), np.zeros(len(t))
        person = self._people[hold.who]
        yaw, tilt = person.yaw(t), person.tilt(hold.hand, t)
        turn = Rotation.from_euler("ZY", np.column_stack([yaw, tilt]))
        return person.palm(hold.hand, t) + turn.apply([PALM, 0.0, -grip]), yaw, tilt

    def door(self, name: str, t: np.ndarray) -> np.ndarray:
        """(N,) how far a cupboard's door is open, radians."""
        return self._doors[name](t)

    def pose(self, name: str, t: np.ndarray) -> tuple[np.ndarray, Rotation]:
        """(N, 3) foot of a thing and its turn at times (N,) seconds."""
        if name in self.doors:
            station = self._home.cupboards[name]
            turn = Rotation.from_euler("z", (station.yaw - self.door(name, t))[:, None])
            return np.tile(station.to_world(HINGE), (len(t), 1)), turn
        holds = self._holds[name]
        grip = self._home.things[name].grip
        which = self.holding(name, t)
        pos, angles = np.empty((len(t), 3)), np.empty((len(t), 2))
        for k in np.unique(which):
            rows = np.flatnonzero(which == k)
            at, yaw, tilt = self._held(holds[k], grip, t[rows])
            since = np.clip((t[rows] - holds[k].t) / BLEND_S, 0, 1) if k else np.ones(len(rows))
            if since.min() < 1:
                w = since**3 * (10 - 15 * since + 6 * since**2)
                before, yaw0, tilt0 = self._held(holds[k - 1], grip, t[rows])
                at = before + w[:, None] * (at - before)
                yaw = yaw0 + w * ((yaw - yaw0 + np.pi) % (2 * np.pi) - np.pi)
                tilt = tilt0 + w * (tilt - tilt0)
            pos[rows], angles[rows] = at, np.column_stack([yaw, tilt])
        return pos, Rotation.from_euler("ZY", angles)

    def holding(self, name: str, t: np.ndarray) -> np.ndarray:
        """(N,) index into the thing's holds."""
        starts = np.array([hold.t for hold in self._holds[name]])
        return np.maximum(np.searchsorted(starts, t, side="right") - 1, 0)

    def holds(self, name: str) -> list[Hold]:
        """All that ever holds a thing, in order."""
        return self._holds[name]

    def hold(self, name: str, t: float) -> Hold:
        """What holds a thing at one time."""
        return self._holds[name][int(self.holding(name, np.array([t]))[0])]
