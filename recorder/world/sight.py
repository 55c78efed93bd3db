"""What a camera can see: the cone it looks along, the doorways it looks through, the mirrors near it.

What it cannot see is not drawn, and nobody notices but the clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.world.house import DOOR_TOP_M, DOOR_WIDTH_M, Doorway, House

SMALLEST_PX = 0.5
"""What is smaller in the picture is not drawn."""
MIRROR_SEEN_M = 2.5
"""From how near a mirror shows anything; its picture costs as much as the rest."""
ANYWHERE = -1
"""The room of what may be in two at once, as people are in a doorway."""


@dataclass(frozen=True)
class Cone:
    """What a camera sees at N times: from `at` (N, 3) along `ahead` (N, 3), `half_angle` radians to each side."""

    at: np.ndarray
    ahead: np.ndarray
    half_angle: np.ndarray | float

    def meets(self, middles: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """(N, G) bool: balls around `middles` (N, G, 3) that reach into the cone."""
        way = middles - self.at[:, None]
        far = np.maximum(np.linalg.norm(way, axis=2), 1e-6)
        wide = np.arcsin(np.minimum(radii / far, 1.0))
        angle = np.arccos(np.clip(np.einsum("ngk,nk->ng", way, self.ahead) / far, -1, 1))
        return np.asarray((angle < np.reshape(self.half_angle, (-1, 1)) + wide) | (far < radii))


def seen_from(
    cone: Cone, middles: np.ndarray, radii: np.ndarray, rooms: np.ndarray, house: House, focal_px: float
) -> np.ndarray:
    """(N, G) bool: what a camera may see: balls in its cone, large enough, and not behind a wall.

    Args:
        cone: of the camera.
        middles: (N, G, 3) of the balls. radii: (G,).
        rooms: (N, G) the number of the room that each is in, or ANYWHERE.
        house: the walls and doorways.
        focal_px: the camera's focal length.
    """
    way = middles - cone.at[:, None]
    far = np.maximum(np.linalg.norm(way, axis=2), 1e-6)
    seen = cone.meets(middles, radii) & (radii / far > SMALLEST_PX / focal_px)
    bearing, wide = np.arctan2(way[..., 1], way[..., 0]), np.arcsin(np.minimum(radii / far, 1.0))
    own, names = house.rooms_at(cone.at), list(house.rooms)
    for here in np.unique(own):
        of = own == here
        for number, room in enumerate(names):
            if number == here:
                continue
            door = house.doorway_to(names[here], room)
            middle, half = _opening(door, cone.at[of])
            aside = np.abs((bearing[of] - middle[:, None] + np.pi) % (2 * np.pi) - np.pi)
            through = (aside < half[:, None] + wide[of]) & _doorway_seen(door, cone, of)[:, None]
            seen[of] &= (rooms[of] != number) | through
    return seen


def _opening(door: Doorway, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the bearing of a doorway's middle from points (N, 3), and how far it reaches to either side, radians."""
    ends = [door.ahead(depth, side * DOOR_WIDTH_M / 2) - at[:, :2] for side in (-1, 1) for depth in (0.0, 0.12)]
    way = door.at - at[:, :2]
    middle = np.arctan2(way[:, 1], way[:, 0])
    asides = [(np.arctan2(end[:, 1], end[:, 0]) - middle + np.pi) % (2 * np.pi) - np.pi for end in ends]
    within = np.hypot(*way.T) < DOOR_WIDTH_M
    return np.where(within, 0.0, middle), np.where(within, np.pi, np.abs(asides).max(axis=0))


def _doorway_seen(door: Doorway, cone: Cone, of: np.ndarray) -> np.ndarray:
    """(N,) bool: whether any of a doorway is in the view of the chosen times."""
    chosen = Cone(cone.at[of], cone.ahead[of], cone.half_angle)
    middle = np.array([*door.at, DOOR_TOP_M / 2])
    radius = np.array([np.hypot(DOOR_TOP_M, DOOR_WIDTH_M + 0.2) / 2])
    return chosen.meets(np.tile(middle, (len(chosen.at), 1, 1)), radius)[:, 0]


@dataclass(frozen=True)
class Mirror:
    """A mirror's glass: its middle (3,), the ways along it (2, 3), metres to its edges, and the way it faces (3,)."""

    middle: np.ndarray
    along: np.ndarray
    facing: np.ndarray

    def shows(self, at: np.ndarray, turn: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """(N,) bool: whether any of it is in a picture, from near and from before.

        Args:
            at: (N, 3) the camera. turn: (N, 3, 3) world <- camera.
            reach: (2,) tangents of the angles from the middle of the picture to its sides.
        """
        steps = np.linspace(-1, 1, 5)
        glass = self.middle + np.array([a * self.along[0] + b * self.along[1] for a in steps for b in steps])
        seen = np.einsum("nki,npk->npi", turn, glass - at[:, None])
        inside = (np.abs(seen[..., :2]) < reach * seen[..., 2:]).all(axis=2).any(axis=1)
        way = self.middle - at
        return np.asarray(inside & (np.linalg.norm(way, axis=1) < MIRROR_SEEN_M) & (way @ self.facing < 0))

    def cone(self, at: np.ndarray) -> Cone:
        """What is seen in it from points (N, 3), as if from behind the glass."""
        behind = at - 2 * ((at - self.middle) @ self.facing)[:, None] * self.facing
        way = self.middle - behind
        far = np.linalg.norm(way, axis=1)
        return Cone(behind, way / far[:, None], np.arctan2(np.linalg.norm(self.along), far))
