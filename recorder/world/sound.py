"""What each microphone hears.

A sound that leaves a source at s reaches a microphone at m after |m - s| / 343 m/s, weakened by 1/|m - s|. Both
follow the microphone as it moves, sample by sample: the delay curve resamples the source, so walking shifts and
stretches what is heard as it does in a real room. What the room adds, and what is left next door, `acoustics` knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from recorder.tone import KINDS, tone
from recorder.world.acoustics import (
    BRIGHT_HZ,
    CROSSING_HZ,
    DULL_HZ,
    SPEED_M_S,
    Acoustics,
    mirrored,
    reflected,
    screened,
    tail,
)
from recorder.world.house import DOOR_TOP_M, DOOR_WIDTH_M, House
from recorder.world.noises import clip, hum, radio
from recorder.world.plan import RATE_HZ, WorldPlan
from recorder.world.scene import ROOM, SPEAKER
from recorder.world.script import Noise
from recorder.world.walls import detour

# Peak or RMS pressure at 1 m, in units of full scale.
TONE_LEVEL, RADIO_LEVEL, HUM_LEVEL, ROOM_NOISE = 0.09, 0.010, 0.0035, 0.0008
KNOT_HZ = 100
STEP = RATE_HZ // KNOT_HZ
RAMP = np.arange(STEP) / STEP
BLOCK_KNOTS = 32
LONGEST_WAY_M = 15.0
STEADY_S = 5.0
"""Of what sounds longer, the reverberation has the first reflections too: nobody hears them apart."""
NEAREST_M = 0.15
HEIGHT_M = float(ROOM[2])
LEAVING_M = 0.3
"""Over how long a way the sound of one room gives place to that of the next in a doorway."""
DOORWAY = float(np.sqrt(DOOR_WIDTH_M * DOOR_TOP_M / (8 * np.pi)))
"""What an open doorway radiates of the pressure of a room's reverberation, at 1 m: the power that falls on it."""
Path = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Source:
    """A sound: `wave` (M,) float32 at 48 kHz as at 1 m, leaving `at` (3,) metres from `t0` seconds on."""

    wave: np.ndarray
    t0: float
    at: np.ndarray
    gain: float


def sources(plan: WorldPlan, events: list[Noise], ambience: dict[str, np.ndarray]) -> list[Source]:
    """Everything that sounds in a session.

    Args:
        plan: the session.
        events: what sounds once.
        ambience: positions (3,) of ``radio`` and ``hum``.
    """
    result = [Source(tone(kind, RATE_HZ), plan.tone_s[kind], SPEAKER, TONE_LEVEL) for kind in KINDS]
    for number, event in enumerate(events):
        wave = clip(event.kind, plan.rng(f"clip{number}")).astype(np.float32)
        result.append(Source(wave, event.t, np.array(event.at), event.gain))
    for kind, level, make in (("radio", RADIO_LEVEL, radio), ("hum", HUM_LEVEL, hum)):
        wave = make(plan.rng(kind), plan.duration_s + 1.0).astype(np.float32)
        result.append(Source(wave, -0.5, ambience[kind], level))
    return result


def listen(
    plan: WorldPlan, house: House, how: Acoustics, name: str, microphone: Path, around: list[Source]
) -> np.ndarray:
    """(N,) float32 at 48 kHz: what one microphone hears from world time 0.

    Args:
        plan: the session.
        name: the microphone; keys its own noise, and the reverberation where it is.
        microphone: position (K, 3) metres at times (K,) seconds.
        around: what sounds.
    """
    count = round(plan.duration_s * RATE_HZ)
    own = plan.rng(f"microphone-{name}").standard_normal(count, np.float32)
    heard = (ROOM_NOISE * lfilter([1.0], [1.0, -0.7], own)).astype(np.float32)
    ear = _Ear(house, how, microphone, count)
    for room in house.rooms:
        here = [source for source in around if house.room_at(source.at) == room]
        for source in here:
            ear.hear(heard, source)
        if here and how.reverberation_s:
            ear.reverberate(heard, room, here, plan.rng(f"reverberation of {room} at {name}"))
    return np.clip(heard, -1, 1)


class _Ear:
    """A microphone on its way through the house: what it hears of a source is added to its signal (N,) float32."""

    def __init__(self, house: House, how: Acoustics, microphone: Path, count: int) -> None:
        self._house, self._how = house, how
        self._knots = np.arange(0, count + 2 * STEP, STEP)
        self._at = microphone(self._knots / RATE_HZ)
        self._room = house.rooms_at(self._at)
        self._reflected = {name: reflected(room, HEIGHT_M, how) for name, room in house.rooms.items()}

    def _number(self, room: str) -> int:
        return list(self._house.rooms).index(room)

    def _inside(self, room: str, rows: slice) -> np.ndarray:
        """(K,) 1 where the microphone is in a room, 0 where it is out of it, at some of the knots."""
        box = self._house.rooms[room]
        outside = (np.abs(self._at[rows, :2] - box.middle) - box.half).max(axis=1)
        return np.clip(0.5 - outside / LEAVING_M, 0.0, 1.0)

    def hear(self, into: np.ndarray, source: Source) -> None:
        """A source, its images in the walls of its room, and where a wall is in between what is left of it."""
        start = round(source.t0 * RATE_HZ)
        first = max(0, start)
        last = min(len(into), start + len(source.wave) + round(LONGEST_WAY_M / SPEED_M_S * RATE_HZ))
        if last - first < 2:
            return
        rows = slice(first // STEP, -(-last // STEP) + 1)
        at, room = self._at[rows], self._house.room_at(source.at)
        straight = np.linalg.norm(at - source.at, axis=1)
        played = _Played(into, source, first // STEP)
        apart = self._room[rows] != self._number(room)
        if self._how.wall_db and apart.any():
            self._next_door(played, source, straight, at)
        else:
            played.add(source.wave, straight, np.ones(len(at)))
        share = self._inside(room, rows) * self._reflected[room]
        if share.any() and len(source.wave) < STEADY_S * RATE_HZ:
            for image in mirrored(self._house.rooms[room], HEIGHT_M, source.at):
                played.add(source.wave, np.linalg.norm(at - image, axis=1), share)

    def _next_door(self, played: _Played, source: Source, straight: np.ndarray, at: np.ndarray) -> None:
        """Through the doorway, dull behind a doorpost, and through the wall, duller still."""
        longer = detour(self._house, source.at, at)
        dull = sosfilt(butter(1, CROSSING_HZ, fs=RATE_HZ, output="sos"), source.wave).astype(np.float32)
        bright_left, dull_left = screened(longer, BRIGHT_HZ), screened(longer, DULL_HZ)
        played.add(source.wave, straight + longer, bright_left)
        played.add(dull, straight + longer, dull_left - bright_left)
        behind = np.clip(longer / 0.02, 0.0, 1.0) * 10 ** (-self._how.wall_db / 20)
        played.add(dull, straight, behind)

    def reverberate(self, into: np.ndarray, room: str, here: list[Source], random: np.random.Generator) -> None:
        """What a room in which all of `here` sounds adds to it, in there and through its doorway."""
        dry = np.zeros(len(into), np.float32)
        for source in here:
            start = round(source.t0 * RATE_HZ)
            low, high = max(start, 0), min(start + len(source.wave), len(dry))
            if high > low:
                dry[low:high] += source.gain * source.wave[low - start : high - start]
        late = tail(self._house.rooms[room], HEIGHT_M, self._how, random)
        field = oaconvolve(dry, late)[: len(into)].astype(np.float32)
        inside = self._inside(room, slice(None))
        into += field * np.interp(np.arange(len(into)), self._knots, inside).astype(np.float32)
        for other in self._house.rooms:
            within = self._room == self._number(other)
            if other != room and within.any():
                door = np.array([*self._house.doorway_to(room, other).at, DOOR_TOP_M / 2])
                away = np.linalg.norm(self._at - door, axis=1) + detour(self._house, door, self._at)
                there = (1 - inside) * within
                leaving = Source(field, 0.0, door, DOORWAY)
                _Played(into, leaving, 0).add(field, away, there)


@dataclass(frozen=True)
class _Played:
    """One source as it is added to a signal, from knot `begin` of the microphone's way on."""

    into: np.ndarray
    source: Source
    begin: int

    def add(self, wave: np.ndarray, away: np.ndarray, share: np.ndarray) -> None:
        """Add a wave that comes along a way of `away` (K,) metres at the knots, of which `share` (K,) is left.

        Sample n of the microphone is the source at n / 48000 - t0 - away / 343 seconds, between the source's samples
        by Lagrange's cubic. Before it begins and after its end a source is silent.
        """
        padded = np.concatenate([np.zeros(4, np.float32), wave, np.zeros(4, np.float32)], dtype=np.float32)
        loud = (self.source.gain * share / np.maximum(away, NEAREST_M)).astype(np.float32)
        late = away * (RATE_HZ / SPEED_M_S) + self.source.t0 * RATE_HZ - 4
        for row in range(0, len(away) - 1, BLOCK_KNOTS):  # blocks fit the processor's cache
            rows = slice(row, row + BLOCK_KNOTS + 1)
            if not loud[rows].any():
                continue
            first = (self.begin + row) * STEP
            count = min(STEP * (len(away[rows]) - 1), len(self.into) - first)
            n = np.arange(first, first + count)
            at = np.clip(n - _between(late[rows])[:count], 1, len(padded) - 3)
            k = at.astype(np.int32)
            f = (at - k).astype(np.float32)
            g, h = f - 1, f - 2
            value = padded[k] * ((f + 1) * g * h / 2) - padded[k - 1] * (f * g * h / 6)
            value += padded[k + 2] * ((f + 1) * f * g / 6) - padded[k + 1] * ((f + 1) * f * h / 2)
            self.into[first : first + count] += value * _between(loud[rows])[:count]


def _between(knots: np.ndarray) -> np.ndarray:
    """((K - 1) * STEP,) values at every sample from values (K,) at the knots, along straight lines."""
    return (knots[:-1, None] + np.diff(knots)[:, None] * RAMP).astype(knots.dtype).ravel()
