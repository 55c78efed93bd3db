"""The plan of the house: rooms, doorways, and the way from one room to another.

The living room is the same in every house: the kit stands in its corner, and its middle is the world's origin. A
kitchen and a bedroom are joined to it, or one to the other, as one of `LAYOUTS` says. Lengths in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from recorder.world.plan import rng

LIVING = "living room"
WALL_M, DOOR_WIDTH_M, DOOR_TOP_M, STEP_M = 0.12, 0.90, 2.05, 0.42
"""Thickness of a wall; size of a doorway; how far before and behind a doorway somebody who passes it is."""
DEEP_M, RIGHT_M, LEFT_M = 3.3, 1.9, 1.5
"""A room as seen from its doorway: how far it reaches ahead, to the right and to the left."""


@dataclass(frozen=True)
class Room:
    """A rectangle of floor, from `low` (x, y) to `high`."""

    name: str
    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def middle(self) -> np.ndarray:
        """(2,) the middle of the floor."""
        return (np.array(self.low) + self.high) / 2

    @property
    def half(self) -> np.ndarray:
        """(2,) half of its size."""
        return (np.array(self.high) - self.low) / 2

    @property
    def floor_m2(self) -> float:
        """How large the floor is."""
        return float(np.prod(2 * self.half))

    def outside(self, point: np.ndarray) -> float:
        """How far a point (x, y, ...) is beyond the walls; negative inside."""
        return float((np.abs(np.asarray(point)[:2] - self.middle) - self.half).max())


@dataclass(frozen=True)
class Doorway:
    """A way from room `near` into room `far`; (x, y) is its middle in the wall of `near`, `yaw` leads into `far`."""

    near: str
    far: str
    x: float
    y: float
    yaw: float

    @property
    def at(self) -> np.ndarray:
        """(2,) the middle of the doorway, between the walls."""
        return self.ahead(WALL_M / 2)

    def ahead(self, far_m: float, left_m: float = 0.0) -> np.ndarray:
        """(2,) a point ahead of the doorway and to its left, seen from `near`."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([self.x + c * far_m - s * left_m, self.y + s * far_m + c * left_m])

    def step(self, room: str) -> np.ndarray:
        """(2,) where somebody stands who is about to leave `room` by it."""
        return self.ahead(-STEP_M if room == self.near else WALL_M + STEP_M)


# Of each house: (room, the room that leads to it, the doorway's x, y and yaw in degrees).
KITCHEN_EAST = ("kitchen", LIVING, 2.6, -1.2, 0.0)
LAYOUTS: tuple[tuple[tuple[str, str, float, float, float], ...], ...] = (
    (KITCHEN_EAST, ("bedroom", LIVING, 1.8, 2.1, 90.0)),
    (("kitchen", LIVING, 1.8, 2.1, 90.0), ("bedroom", LIVING, 2.6, -1.2, 0.0)),
    (("kitchen", LIVING, -2.6, 1.3, 180.0), ("bedroom", LIVING, 2.6, -1.2, 0.0)),
    (KITCHEN_EAST, ("bedroom", "kitchen", 4.84, 0.3, 90.0)),
)


@dataclass(frozen=True)
class House:
    """Rooms by name, the living room first, and the doorways between them."""

    rooms: dict[str, Room]
    doorways: tuple[Doorway, ...]

    def room_at(self, point: np.ndarray) -> str:
        """The room that a point (x, y, ...) is in, or the nearest."""
        return min(self.rooms, key=lambda name: self.rooms[name].outside(point))

    def rooms_at(self, points: np.ndarray) -> np.ndarray:
        """(N,) int the number of the room, in order, that each of the points (N, 2 or 3) is in, or the nearest."""
        rooms = self.rooms.values()
        middles, halves = (np.array([getattr(room, part) for room in rooms]) for part in ("middle", "half"))
        beyond = np.abs(points[:, None, :2] - middles) - halves
        return np.asarray(beyond.max(axis=2).argmin(axis=1))

    def way(self, start: str, goal: str) -> list[np.ndarray]:
        """Points (2,) on the way from one room to another: before and behind each doorway."""
        reached: dict[str, list[np.ndarray]] = {start: []}
        edge = [start]
        while goal not in reached:
            room = edge.pop(0)
            for door in self.doorways:
                if room in (door.near, door.far):
                    other = door.far if room == door.near else door.near
                    if other not in reached:
                        reached[other] = [*reached[room], door.step(room), door.step(other)]
                        edge.append(other)
        return reached[goal]

    def doorway_to(self, start: str, goal: str) -> Doorway:
        """The first doorway on the way from one room to another."""
        first = self.way(start, goal)[0]
        return next(d for d in self.doorways if start in (d.near, d.far) and np.allclose(d.step(start), first))

    def doorways_to(self, start: str, goal: str) -> list[Doorway]:
        """Every doorway on the way from one room to another, in order."""
        passed: list[Doorway] = []
        while start != goal:
            passed.append(self.doorway_to(start, goal))
            start = passed[-1].far if start == passed[-1].near else passed[-1].near
        return passed


def layout_of(place: str) -> int:
    """Which of `LAYOUTS` a place has."""
    return int(rng("layout", place).integers(len(LAYOUTS)))


def house(layout: int, living: tuple[float, float]) -> House:
    """The house of a layout; `living` is the size of the living room (x, y)."""
    x, y = living[0] / 2, living[1] / 2
    rooms = {LIVING: Room(LIVING, (-x, -y), (x, y))}
    doorways = []
    for name, near, at_x, at_y, yaw in LAYOUTS[layout]:
        door = Doorway(near, name, at_x, at_y, float(np.radians(yaw)))
        corners = np.array([door.ahead(WALL_M, -RIGHT_M), door.ahead(WALL_M + DEEP_M, LEFT_M)])
        low, high = corners.min(axis=0), corners.max(axis=0)
        rooms[name] = Room(name, (float(low[0]), float(low[1])), (float(high[0]), float(high[1])))
        doorways.append(door)
    return House(rooms, tuple(doorways))


def turned(yaw: float) -> Rotation:
    """A turn about the vertical."""
    return Rotation.from_euler("z", yaw)
