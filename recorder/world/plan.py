"""What a simulated session is asked to be, and the plain records the world answers with.

Everything random in the world comes from `rng`, which is keyed by words and numbers and never by the order of
calls: the same plan gives the same bytes, whichever part is asked first.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from firmware_host.errors import ConfigError
from recorder.world.optics import PINHOLE, Lens

RATE_HZ = 48_000
TONE_START_S = 1.5
TONE_END_BEFORE_STOP_S = 2.5
SHORTEST_S = 6.0
MOST_PEOPLE, GUESTS = 2, 2
"""People at home at most, and how many guests each participant has, who visit nobody else: so what splits
participants splits everybody."""


@dataclass(frozen=True)
class WorldPlan:
    """One session of the simulated home.

    Attributes:
        duration_s: length of the world, seconds; at least `SHORTEST_S`, so that both tones fit.
        seed: makes two sessions of the same person, place and activity differ.
        activity: one of `ACTIVITIES`, repeated to fill the session; None: a seeded sequence of activities.
        participant: sets body size, pace and colours.
        place: sets the room's look and which furniture stands where.
        width, height: size of every camera picture, pixels.
        people: 1, or 2 for a guest who acts beside the participant; the participant wears the sensors.
        mirror: whether the participant, before all else, moves a hand in a pattern before a mirror, as the protocol
            of cameras without sound asks.
        barrel: how much every camera's lens draws its picture's edge in: -k1 of Brown's model.
        decentred: how far lenses sit off their axis: p1 and p2 of Brown's model, one standard deviation.
    """

    duration_s: float
    seed: int
    activity: str | None = None
    participant: str = "p01"
    place: str = "r01"
    width: int = 640
    height: int = 360
    people: int = 1
    mirror: bool = False
    barrel: float = 0.0
    decentred: float = 0.0

    def __post_init__(self) -> None:
        if self.duration_s < SHORTEST_S:
            raise ConfigError(
                f"a simulated session of {self.duration_s:g} s is too short for its start and end tones; "
                f"ask for at least {SHORTEST_S:g} s"
            )
        if min(self.width, self.height) < 16:
            raise ConfigError(f"a picture of {self.width}x{self.height} is too small; ask for at least 16x16")
        if self.people not in (1, MOST_PEOPLE):
            raise ConfigError(f"a simulated home with {self.people} people cannot be made; ask for 1 or {MOST_PEOPLE}")

    @property
    def names(self) -> tuple[str, ...]:
        """Who is at home: the participant, then the guest."""
        return (self.participant, f"{self.participant}-guest{1 + self.seed % GUESTS}")[: self.people]

    @property
    def tone_s(self) -> dict[str, float]:
        """When the speaker starts each tone, seconds of world time."""
        return {"start": TONE_START_S, "end": self.duration_s - TONE_END_BEFORE_STOP_S}

    def rng(self, what: str) -> np.random.Generator:
        """Random numbers for one part of this session."""
        return rng(what, self.seed, self.activity or "", self.participant, self.place)


def rng(*key: str | int) -> np.random.Generator:
    """A generator that depends on the key alone."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part & 0xFFFFFFFF for part in key]
    return np.random.default_rng(np.random.SeedSequence(words))


@dataclass(frozen=True)
class CameraModel:
    """A camera with a lens. Pixel (0, 0) is the centre of the top-left pixel; x right, y down, z forward."""

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    lens: Lens = PINHOLE


@dataclass(frozen=True)
class Box:
    """An upright rectangle in a picture, pixels, clipped to the frame; `kind` is person or object."""

    name: str
    kind: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Label:
    """Something that was done in [t0_ns, t1_ns); `tier` is activity or atomic."""

    tier: str
    t0_ns: int
    t1_ns: int
    value: str
    actor: str


@dataclass(frozen=True)
class ImuTruth:
    """What a perfect BNO055 would report, one row per asked time.

    Attributes:
        orientation: (N, 4) unit quaternions w, x, y, z that turn sensor vectors into world vectors (z up).
        gyro: (N, 3) deg/s, sensor frame, right-handed.
        linear: (N, 3) m/s2 acceleration without gravity, sensor frame.
        gravity: (N, 3) m/s2, sensor frame; +9.81 on the axis that points up (as the BNO055 reports).
    """

    orientation: np.ndarray
    gyro: np.ndarray
    linear: np.ndarray
    gravity: np.ndarray
