"""What the director writes down: everything that happens in a session, for the modules that act it out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Span:
    """A label in seconds of world time."""

    tier: str
    t0: float
    t1: float
    value: str


@dataclass(frozen=True)
class Look:
    """From `t0` on the eyes are for `target`: a thing's name, a world point, or None (free viewing)."""

    t0: float
    target: str | tuple[float, float, float] | None
    spread: float = 0.03


@dataclass(frozen=True)
class Noise:
    """A sound event: `kind` (see `sound`), where, and how loud (1 is usual)."""

    t: float
    kind: str
    at: tuple[float, float, float]
    gain: float = 1.0


@dataclass(frozen=True)
class Hold:
    """From `t` on a thing is in a hand (``l``, ``r``) of person `who`, or stands at `at` (world) turned by `yaw`.

    `station` is where it stands, or was taken from; `within` the thing that it lies in, if it does.
    """

    t: float
    hand: str | None
    at: tuple[float, float, float]
    yaw: float
    station: str
    who: int = 0
    within: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a thing stands: a station's slot (-1: in its cupboard), or within a thing, at `spot` of its frame."""

    station: str
    slot: int | None
    spot: tuple[float, float, float]
    within: str | None = None


Key = tuple[float, np.ndarray]


@dataclass
class Script:
    """Everything that one person does, in the order it was planned; times in seconds.

    `keys[channel]` is a list of (t, value): the channel is held at a value until it is led to the next.
    Channels: ``root`` (x, y metres), ``yaw``, ``lean`` (radians, forward), ``drop`` (metres the hips sink),
    ``lhand``, ``rhand`` (metres from the floor under the person, x forward, y left), ``ltilt``, ``rtilt``
    (radians a held thing is tipped). In each of `poised`, (t0, t1), the head is held as still as it can be.
    """

    keys: dict[str, list[Key]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    noises: list[Noise] = field(default_factory=list)
    poised: list[tuple[float, float]] = field(default_factory=list)

    def copy(self) -> Script:
        """One that can be written on by itself."""
        return Script(
            {k: list(v) for k, v in self.keys.items()}, [*self.spans], [*self.looks], [*self.noises], [*self.poised]
        )


@dataclass
class Props:
    """What all persons act on: the history of every thing (`holds`) and cupboard door (`doors`: (t, radians)), and
    where things stand and which doors are open at the end of what is planned."""

    holds: dict[str, list[Hold]] = field(default_factory=dict)
    doors: dict[str, list[Key]] = field(default_factory=dict)
    place_of: dict[str, Place] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)

    def copy(self) -> Props:
        """One that can be written on by itself."""
        doors = {k: list(v) for k, v in self.doors.items()}
        return Props({k: list(v) for k, v in self.holds.items()}, doors, dict(self.place_of), set(self.open))
