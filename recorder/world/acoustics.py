"""What rooms do to sound: reflections, reverberation, and what walls and doorways leave of what is next door.

A room is an empty box whose surfaces all absorb alike, as much as its reverberation time asks for (Sabine). Its first
reflections are mirror images (Allen and Berkley, "Image method for efficiently simulating small-room acoustics", JASA
1979); what comes later is noise that decays (Schroeder's diffuse field). Round a doorpost goes what a screen of that
detour leaves (Maekawa, "Noise reduction by screens", Applied Acoustics 1968).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.world.house import Room
from recorder.world.plan import RATE_HZ

SPEED_M_S = 343.0
DULL_HZ, BRIGHT_HZ, CROSSING_HZ = 400.0, 3000.0, 900.0
"""A sound is taken for two: what is below the crossing goes round corners as the first, the rest as the second."""


@dataclass(frozen=True)
class Acoustics:
    """Of the house.

    Attributes:
        reverberation_s: a sound in a room has died away by 60 dB after this; 0 is a house without reflections.
        wall_db: what a wall takes from a sound; 0 is a house whose walls are none.
    """

    reverberation_s: float = 0.4
    wall_db: float = 33.0


def absorbing_m2(room: Room, height: float, how: Acoustics) -> float:
    """The area of open window that would absorb as much as the room does."""
    return float(0.161 * room.floor_m2 * height / how.reverberation_s)


def reflected(room: Room, height: float, how: Acoustics) -> float:
    """How much of a wave's pressure a surface of the room gives back."""
    if not how.reverberation_s:
        return 0.0
    x, y = 2 * room.half
    surface = 2 * (x * y + x * height + y * height)
    return float(np.sqrt(1.0 - min(absorbing_m2(room, height, how) / surface, 1.0)))


def mirrored(room: Room, height: float, at: np.ndarray) -> list[np.ndarray]:
    """The six images (3,) of a point in the walls, the floor and the ceiling of its room."""
    planes = [(axis, limit[axis]) for axis in (0, 1) for limit in (room.low, room.high)] + [(2, 0.0), (2, height)]
    images = []
    for axis, plane in planes:
        image = np.array(at, float)
        image[axis] = 2 * plane - image[axis]
        images.append(image)
    return images


def tail(room: Room, height: float, how: Acoustics, random: np.random.Generator) -> np.ndarray:
    """(M,) float32: what a room adds to a sound of 1 at 1 m, wherever one listens in it.

    It begins when the direct sound has crossed the room, so that it is never before it, and has the energy of the
    diffuse field, 16 pi / (absorbing area).
    """
    decay_s = how.reverberation_s / (6 * np.log(10))
    power = 16 * np.pi / absorbing_m2(room, height, how) / (decay_s * RATE_HZ)
    begin = round(float(np.hypot(np.hypot(*(2 * room.half)), height)) / SPEED_M_S * RATE_HZ)
    t = np.arange(begin, begin + round(how.reverberation_s * RATE_HZ)) / RATE_HZ
    late = random.standard_normal(len(t)) * np.sqrt(power) * np.exp(-0.5 * t / decay_s)
    return np.concatenate([np.zeros(begin), late]).astype(np.float32)


def screened(detour_m: np.ndarray, at_hz: float) -> np.ndarray:
    """(N,) what is left of a sound's pressure that had to make a detour: 1 without one, half of it soon after."""
    return np.asarray((1.0 + 20.0 * 2.0 * detour_m * at_hz / SPEED_M_S) ** -0.5)
