"""Who and what is how to what: the scene graph of any moments, from the geometry and from what is being done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recorder.world.furniture import CUPBOARDS
from recorder.world.gaze import Gaze
from recorder.world.person import Person
from recorder.world.scene import Home
from recorder.world.script import Hold, Script
from recorder.world.things import Things

RELATIONS = (
    # a person and a thing
    *("holding", "carrying", "touching", "reaching_for", "using", "looking_at", "next_to"),
    *("in_front_of", "behind", "left_of", "right_of", "above", "below"),
    # a thing and a thing, or a piece of furniture
    *("on", "in", "beside", "open", "closed"),
    # a person and a place, or another person
    *("at", "in_room", "walking", "bending", "facing"),
    *("talking_to", "listening_to", "watching", "giving_to", "taking_from"),
)
NEXT_TO_M, TOUCH_M, BESIDE_M, LEVEL_M, AT_M, FACING_M = 0.9, 0.14, 0.16, 0.25, 0.35, 2.5
WALKING_M_S, BENDING_RAD, AJAR_RAD = 0.3, 0.3, 0.3
Triple = tuple[str, str, str]
# What the name of an action begins with, and what it means between two people, or between a person and a thing.
BETWEEN = {
    **{"talk": "talking_to", "listen": "listening_to", "watch_person": "watching"},
    **{"hand_over_": "giving_to", "take_": "taking_from"},
}
SPECIAL = {"carry": "carrying", "reach": "reaching_for"}
MERE = ("hold", "pick_up", "put_down", "put_in", "stow", "look_at")
"""Verbs that do not say that a thing is used."""


@dataclass(frozen=True)
class _Body:
    """One person at all asked times: where, which way, how fast, how bent, and the palms (N, 2, 3)."""

    ground: np.ndarray
    yaw: np.ndarray
    speed: np.ndarray
    bent: np.ndarray
    palms: np.ndarray


class Relations:
    """The relations of a world; triples are (subject, relation, object)."""

    def __init__(
        self,
        home: Home,
        things: Things,
        names: Sequence[str],
        people: Sequence[Person],
        scripts: Sequence[Script],
        gazes: Sequence[Gaze],
    ) -> None:
        self._home, self._things = home, things
        self._names, self._people, self._scripts, self._gazes = names, people, scripts, gazes

    def over(self, t: np.ndarray) -> Iterator[list[Triple]]:
        """Every relation at each of the times (N,) seconds."""
        where = {name: self._things.pose(name, t)[0] for name in self._things.names}
        holding = {name: self._things.holding(name, t) for name in self._things.names}
        doors = {name: self._things.door(f"door-{name}", t) > AJAR_RAD for name in CUPBOARDS}
        bodies = [_body(person, t) for person in self._people]
        for k, now in enumerate(t.tolist()):
            at = {name: points[k] for name, points in where.items()}
            holds = {name: self._things.holds(name)[which[k]] for name, which in holding.items()}
            found = [*_standing(holds, at)]
            found += [("cupboard", "open" if door[k] else "closed", name) for name, door in doors.items()]
            for number, name in enumerate(self._names):
                doing = [s.value for s in self._scripts[number].spans if s.tier == "atomic" and s.t0 <= now < s.t1]
                found += self._hands(name, number, bodies[number].palms[k], at, holds, doing)
                found += self._stands(name, number, bodies, k, at)
                target = self._gazes[number].target(now)
                found += [(name, "looking_at", target)] if target else []
                others = [other for other in self._names if other != name]
                means = [r for begin, r in BETWEEN.items() for action in doing if action.startswith(begin)]
                found += [(name, relation, other) for relation in means for other in others]
            yield list(dict.fromkeys(found))

    def _hands(
        self,
        name: str,
        number: int,
        palms: np.ndarray,
        at: dict[str, np.ndarray],
        holds: dict[str, Hold],
        doing: list[str],
    ) -> Iterator[Triple]:
        """What is held, touched, used and reached for."""
        for thing, hold in holds.items():
            held = hold.hand is not None and hold.who == number
            if held:
                yield name, "holding", thing
            grip = at[thing] + [0.0, 0.0, self._home.things[thing].grip]
            if held or np.linalg.norm(palms - grip, axis=1).min() < TOUCH_M:
                yield name, "touching", thing
            for action in doing:
                verb, _, of = action.rpartition("_")
                if of == thing and verb not in MERE:
                    yield name, SPECIAL.get(verb, "using"), thing

    def _stands(
        self, name: str, number: int, bodies: list[_Body], k: int, at: dict[str, np.ndarray]
    ) -> Iterator[Triple]:
        """Where somebody is and how, and where what is near is from there."""
        own = bodies[number]
        ground, ahead = own.ground[k], np.array([np.cos(own.yaw[k]), np.sin(own.yaw[k])])
        room = self._home.house.room_at(ground)
        yield name, "in_room", room
        if own.speed[k] > WALKING_M_S:
            yield name, "walking", room
        if own.bent[k] > BENDING_RAD:
            yield name, "bending", room
        for station in self._home.stations.values():
            if np.hypot(station.x - ground[0], station.y - ground[1]) < AT_M:
                yield name, "at", station.name
        chest = 0.72 * self._people[number].one.stature
        for thing, point in at.items():
            way = point[:2] - ground
            if way @ way < NEXT_TO_M**2:
                yield name, "next_to", thing
                forward, left = float(way @ ahead), float(way @ [-ahead[1], ahead[0]])
                aside = "left_of" if left > 0 else "right_of"
                yield thing, "in_front_of" if forward > abs(left) else "behind" if -forward > abs(left) else aside, name
                if abs(point[2] - chest) > LEVEL_M:
                    yield thing, "above" if point[2] > chest else "below", name
        for other, body in zip(self._names, bodies, strict=True):
            way = body.ground[k] - ground
            far = float(np.hypot(*way))
            if other != name and far < FACING_M and way @ ahead > 0.9 * far:
                yield name, "facing", other


def _body(person: Person, t: np.ndarray) -> _Body:
    up = person.turn("body", t).apply([0.0, 0.0, 1.0])
    ground = person.ground(t)
    speed = np.linalg.norm(person.ground(t + 0.05) - person.ground(t - 0.05), axis=1) / 0.1
    palms = np.stack([person.palm(side, t) for side in "lr"], axis=1)
    return _Body(ground, person.yaw(t), speed, np.arccos(np.clip(up[:, 2], -1, 1)), palms)


def _standing(holds: dict[str, Hold], at: dict[str, np.ndarray]) -> Iterator[Triple]:
    """What stands on or lies in what, and what is beside it."""
    standing: dict[str, list[str]] = {}
    for name, hold in holds.items():
        if hold.hand is None:
            yield (name, "in", hold.within) if hold.within else (name, "on", hold.station)
            standing.setdefault(hold.station, []).append(name)
    for names in standing.values():
        for a in names:
            for b in names:
                if a < b and np.linalg.norm(at[a] - at[b]) < BESIDE_M:
                    yield a, "beside", b
