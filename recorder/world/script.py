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
    """From `t` on a thing is in a hand (``l``, ``r``), or stands at `at` (world) turned by `yaw`."""

    t: float
    hand: str | None
    at: tuple[float, float, float]
    yaw: float
    station: str


@dataclass
class Script:
    """Everything that happens, in the order it was planned; times in seconds.

    `keys[channel]` is a list of (t, value): the channel is held at a value until it is led to the next.
    Channels: ``root`` (x, y metres), ``yaw``, ``lean`` (radians, forward), ``drop`` (metres the hips sink),
    ``lhand``, ``rhand`` (metres from the floor under the person, x forward, y left), ``ltilt``, ``rtilt``
    (radians a held thing is tipped), ``door`` (radians open).
    """

    keys: dict[str, list[tuple[float, np.ndarray]]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    noises: list[Noise] = field(default_factory=list)
    holds: dict[str, list[Hold]] = field(default_factory=dict)
