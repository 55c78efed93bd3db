"""What walls stop: the ways of sound and warmth through a house whose rooms are joined by doorways alone."""

from __future__ import annotations

import numpy as np

from recorder.world.house import DOOR_TOP_M, DOOR_WIDTH_M, Doorway, House

SHADOW_M = 0.01
"""Something is wholly out of sight where the way to it about the doorposts is longer than the straight one by this."""


def detour(house: House, start: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """How much longer than the straight line the way through the doorways is.

    Args:
        start: (3,) metres. goals: (N, 3).

    Returns:
        (N,) metres, 0 where nothing is in between. It grows from 0 without a jump as a goal goes behind a doorpost.
    """
    rooms, numbers = list(house.rooms), house.rooms_at(goals)
    home = house.room_at(start)
    longer = np.zeros(len(goals))
    for number in np.unique(numbers):
        if rooms[number] == home:
            continue
        rows = np.flatnonzero(numbers == number)
        at, way_m = np.tile(start, (len(rows), 1)), np.zeros(len(rows))
        for door in house.doorways_to(home, rooms[number]):
            post = _through(door, at, goals[rows])
            way_m += np.linalg.norm(post - at, axis=1)
            at = post
        way_m += np.linalg.norm(goals[rows] - at, axis=1)
        longer[rows] = way_m - np.linalg.norm(goals[rows] - start, axis=1)
    return np.maximum(longer, 0.0)


def seen(house: House, eye: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) 0 to 1: how much of what is at points (N, 3) the walls leave for somebody at `eye` (3,) to see."""
    return np.clip(1.0 - detour(house, eye, points) / SHADOW_M, 0.0, 1.0)


def _through(door: Doorway, starts: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """(N, 3) where the lines from starts to goals pass the doorway, or the point of its opening next to there."""
    ahead, left = np.array([np.cos(door.yaw), np.sin(door.yaw)]), np.array([-np.sin(door.yaw), np.cos(door.yaw)])
    before, beyond = (starts[:, :2] - door.at) @ ahead, (goals[:, :2] - door.at) @ ahead
    span = beyond - before
    share = np.clip(-before / np.where(np.abs(span) < 1e-9, 1e-9, span), 0.0, 1.0)[:, None]
    crossing = starts + share * (goals - starts)
    aside = np.clip((crossing[:, :2] - door.at) @ left, -DOOR_WIDTH_M / 2, DOOR_WIDTH_M / 2)
    height = np.clip(crossing[:, 2], 0.0, DOOR_TOP_M)
    return np.column_stack([door.at + aside[:, None] * left, height])
