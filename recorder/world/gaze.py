"""Where the person looks: fixations joined by saccades.

In natural tasks the eyes go to the thing the hands will act on next, a few hundred milliseconds ahead, and stay
until the hand is there (Land, Mennie, Rusted, "The roles of vision and eye movements in the control of
activities of daily living", Perception 1999). Between tasks they sample the surroundings two to four times a
second. The eyes turn at most about twenty degrees in the head; the head does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recorder.world.person import Person
from recorder.world.plan import WorldPlan
from recorder.world.script import Look, Script
from recorder.world.things import Things

SACCADE_S = 0.045
EYES = np.array([0.09, 0.0, 0.148])
REST_DOWN, EASY, MOST = np.radians([8.0, 13.0, 20.0])
NOISE_DEG = 0.5
BLINK_EVERY_S = 3.5


@dataclass(frozen=True)
class Fixation:
    """From `t0` the eyes rest on a thing (plus `offset`, metres), or on the world point `offset`."""

    t0: float
    thing: str | None
    offset: np.ndarray


class Gaze:
    """The gaze point in the world, and what a tracker makes of it."""

    def __init__(self, plan: WorldPlan, script: Script, person: Person, things: Things) -> None:
        self._person, self._things = person, things
        random = plan.rng("gaze")
        self._fixations = _scan(script.looks, plan.duration_s + 1.0, person, random)
        self._starts = np.array([fixation.t0 for fixation in self._fixations])
        self._noise_deg = NOISE_DEG * random.standard_normal((int(plan.duration_s * 1000) + 1000, 2))
        count = int(2 * plan.duration_s / BLINK_EVERY_S) + 4
        blinks = np.cumsum(random.exponential(BLINK_EVERY_S - 0.7, count) + 0.7)
        self._blinks = np.column_stack([blinks, blinks + random.uniform(0.1, 0.3, count)])

    def wanted(self, t: np.ndarray) -> np.ndarray:
        """(N, 3) the world point the eyes are for, before the limits of the eyes."""
        which = np.maximum(np.searchsorted(self._starts, t, side="right") - 1, 0)
        since = np.clip((t - self._starts[which]) / SACCADE_S, 0, 1)
        w = (since**3 * (10 - 15 * since + 6 * since**2))[:, None]
        return self._fixated(np.maximum(which - 1, 0), t) * (1 - w) + self._fixated(which, t) * w

    def _fixated(self, which: np.ndarray, t: np.ndarray) -> np.ndarray:
        offsets = np.array([fixation.offset for fixation in self._fixations])
        names = np.array([fixation.thing or "" for fixation in self._fixations])[which]
        points = offsets[which]
        for name in set(names.tolist()) - {""}:
            rows = np.flatnonzero(names == name)
            points[rows] += self._things.pose(name, t[rows])[0]
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

    def noise_deg(self, t_ns: np.ndarray) -> np.ndarray:
        """(N, 2) the tracker's error at these times, degrees; white above 1 kHz."""
        return self._noise_deg[np.clip(t_ns // 1_000_000, 0, len(self._noise_deg) - 1)]

    def eyes_open(self, t: np.ndarray) -> np.ndarray:
        """(N,) bool: no blink at this time."""
        after = np.searchsorted(self._blinks[:, 0], t, side="right") - 1
        return (after < 0) | (t >= self._blinks[np.maximum(after, 0), 1])

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
