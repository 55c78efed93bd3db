"""Where the person looks: fixations joined by saccades.

In natural tasks the eyes go to the thing the hands will act on next, a few hundred milliseconds ahead, and stay
until the hand is there (Land, Mennie, Rusted, "The roles of vision and eye movements in the control of
activities of daily living", Perception 1999). Between tasks they sample the surroundings two to four times a
second. A jump lasts the longer the wider it is (Carpenter, "Movements of the Eyes", 1988); what moves is followed
smoothly, a little late. The eyes turn at most about twenty degrees in the head; the head does the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recorder.world.person import Person
from recorder.world.plan import WorldPlan
from recorder.world.script import Look, Script
from recorder.world.tracker import gaps, within

SACCADE_S, SACCADE_S_PER_DEG, LONGEST_SACCADE_S = 0.021, 0.0022, 0.12
FOLLOW_S = 0.06
"""How late the eyes follow what moves."""
EYES = np.array([0.09, 0.0, 0.148])
REST_DOWN, EASY, MOST = np.radians([8.0, 13.0, 20.0])
BLINK_EVERY_S, BLINK_S = 3.5, (0.1, 0.3)
Places = Callable[[str, np.ndarray], np.ndarray]
"""(N, 3) where something that has a name is at times (N,)."""


@dataclass(frozen=True)
class Fixation:
    """From `t0` the eyes rest on a thing (plus `offset`, metres), or on the world point `offset`."""

    t0: float
    thing: str | None
    offset: np.ndarray


class Gaze:
    """The gaze point in the world, and when the eyes are open."""

    def __init__(self, plan: WorldPlan, script: Script, person: Person, places: Places, name: str = "") -> None:
        """`places` knows everything that can be looked at by name; `name` tells one person's random from another's."""
        self._person, self._places = person, places
        random = plan.rng(f"gaze{name}")
        self._fixations = _scan(script.looks, plan.duration_s + 1.0, person, random)
        self._starts = np.array([fixation.t0 for fixation in self._fixations])
        self._offsets = np.array([fixation.offset for fixation in self._fixations])
        self._names = np.array([fixation.thing or "" for fixation in self._fixations])
        self._lasts = self._saccades()
        self._blinks = gaps(random, plan.duration_s, BLINK_EVERY_S, BLINK_S)

    def _saccades(self) -> np.ndarray:
        """(F,) seconds that the jump to each fixation takes: the main sequence."""
        which = np.arange(len(self._starts))
        one = self._person.one
        eyes = self._person.point("body", np.array([0.1, 0.0, one.trunk + 0.14]), self._starts)
        ways = [self._fixated(k, self._starts) - eyes for k in (np.maximum(which - 1, 0), which)]
        before, after = (way / np.linalg.norm(way, axis=1, keepdims=True) for way in ways)
        degrees = np.degrees(np.arccos(np.clip(np.sum(before * after, axis=1), -1, 1)))
        return np.minimum(SACCADE_S + SACCADE_S_PER_DEG * degrees, LONGEST_SACCADE_S)

    def wanted(self, t: np.ndarray) -> np.ndarray:
        """(N, 3) the world point the eyes are for, before the limits of the eyes."""
        which = np.maximum(np.searchsorted(self._starts, t, side="right") - 1, 0)
        since = np.clip((t - self._starts[which]) / self._lasts[which], 0, 1)
        w = (since**3 * (10 - 15 * since + 6 * since**2))[:, None]
        return self._fixated(np.maximum(which - 1, 0), t) * (1 - w) + self._fixated(which, t) * w

    def _fixated(self, which: np.ndarray, t: np.ndarray) -> np.ndarray:
        names, points = self._names[which], self._offsets[which]
        for name in set(names.tolist()) - {""}:
            rows = np.flatnonzero(names == name)
            points[rows] += self._places(name, t[rows] - FOLLOW_S)
        return points

    def point(self, t: np.ndarray) -> np.ndarray:
        """(N, 3) the world point that is really looked at: `wanted`, as far as the eyes turn in the head."""
        eyes, head = self._person.point("neck", EYES, t), self._person.turn("neck", t)
        way = head.inv().apply(self.wanted(t) - eyes)
        far = np.linalg.norm(way, axis=1)
        aside = np.arctan2(way[:, 1], way[:, 0])
        up = np.arctan2(way[:, 2], np.hypot(way[:, 0], way[:, 1])) + REST_DOWN
        turn = np.hypot(aside, up)
        limited = np.where(turn > EASY, EASY + (MOST - EASY) * np.tanh((turn - EASY) / (MOST - EASY)), turn)
        scale = limited / np.maximum(turn, 1e-9)
        aside, up = aside * scale, up * scale - REST_DOWN
        ray = np.column_stack([np.cos(up) * np.cos(aside), np.cos(up) * np.sin(aside), np.sin(up)])
        return eyes + head.apply(ray * far[:, None])

    def eyes_open(self, t: np.ndarray) -> np.ndarray:
        """(N,) bool: no blink at this time."""
        return ~within(self._blinks, t)

    def target(self, t: float) -> str | None:
        """The thing that is fixated at one time, if it is one."""
        return self._fixations[max(int(np.searchsorted(self._starts, t, side="right")) - 1, 0)].thing


def _scan(looks: list[Look], until: float, person: Person, random: np.random.Generator) -> list[Fixation]:
    """Unfold what the eyes are for into single fixations."""
    result = []
    for look, stop in zip(looks, [*[later.t0 for later in looks[1:]], until], strict=True):
        t = look.t0
        while t < stop:
            if look.target is None:
                thing, offset, lasts = None, _glance(person, t, random), random.uniform(0.25, 0.5)
            elif isinstance(look.target, str):
                thing, lasts = look.target, random.uniform(0.3, 0.7)
                offset = random.normal(0, look.spread, 3) + [0, 0, 0.05]
            else:
                thing, lasts = None, random.uniform(0.3, 0.7)
                offset = np.array(look.target) + random.normal(0, look.spread, 3)
            result.append(Fixation(t, thing, offset))
            t += lasts
    return result


def _glance(person: Person, t: float, random: np.random.Generator) -> np.ndarray:
    """(3,) some point ahead, about two metres away, a little below the eyes."""
    now = np.array([t])
    yaw = person.yaw(now)[0] + random.normal(0, 0.4)
    down, far = random.normal(0.25, 0.2), random.uniform(1.5, 2.5)
    x, y = person.ground(now)[0]
    height = 0.93 * person.one.stature - far * np.sin(down)
    return np.array([x + far * np.cos(yaw) * np.cos(down), y + far * np.sin(yaw) * np.cos(down), max(height, 0.0)])
