"""Pairs of recordings with a known truth: who speaks where, what each microphone hears of it, and on what clock.

Sources stand or walk in a room; each microphone hears every source over the true length of its path, through early
reflections (mirrored sources) and a diffuse tail, with an equaliser and a noise of its own. Its clock has a
drift, and its recorder may have lost samples. All of it follows from the seed.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
from scipy import ndimage, signal

from recorder.tone import tone

RATE = 16_000
SOUND_M_S = 343.0
LEAD_S = 25.0
POOL = 20
"""Recordings of which strangers are made: every two of them are unrelated."""
ROOM_M = np.array([5.2, 4.1, 2.5])
SCRIPT = (
    "take the cup from this table and open door wash plates water run into kitchen window read another book call "
    "phone walk over chair light lamp please where is my coat under bed I think we should cook rice with onion "
    "tomorrow morning yes maybe later bring nine seven eleven glasses careful hot pan behind you garden children "
    "laugh about it"
)
WORDS = SCRIPT.split()
VOICES = ("en-us+m3", "en-gb+f2", "en-us+f4", "en-gb+m7")


@dataclass(frozen=True)
class Case:
    """One pair.

    Attributes:
        content: ``speech``, ``music``, ``home`` or ``tones`` (a quiet room with start and end tones).
        snr_db: sound over noise at each microphone.
        room: ``dry`` or ``echo``.
        apart: ``body`` (20 cm) or ``room`` (1.5 m).
        moving: whether the talkers walk.
        codec: suffix of the second recording: ``wav``, ``m4a`` or ``mp3``.
        ppm: drift of the second clock.
        lost_s: how long a stretch the second recorder lost.
        minutes: length.
        seed: everything else.
    """

    content: str = "speech"
    snr_db: float = 10.0
    room: str = "dry"
    apart: str = "body"
    moving: bool = False
    codec: str = "wav"
    ppm: float = 20.0
    lost_s: float = 0.0
    minutes: float = 1.0
    seed: int = 0

    @property
    def apart_m(self) -> float:
        """Distance of the two microphones."""
        return {"body": 0.2, "room": 1.5}[self.apart]


@dataclass(frozen=True)
class Truth:
    """``t_reference = offset_s + t * (1 + ppm * 1e-6)``, `t` the other's time with its lost stretch put back."""

    offset_s: float
    ppm: float
    lost_at_s: float
    lost_s: float

    def reference_s(self, other_s: np.ndarray) -> np.ndarray:
        """Times of the other recording to times of the reference, seconds."""
        whole = other_s + np.where(other_s >= self.lost_at_s, self.lost_s, 0.0)
        return self.offset_s + whole * (1 + self.ppm * 1e-6)


def make(case: Case, both: bool = True) -> tuple[np.ndarray, np.ndarray, Truth]:
    """(reference, other, truth): two float32 sounds at `RATE`; without `both` only the reference, for what pairs it."""
    rng = np.random.default_rng([case.seed, 77])
    seconds = 60.0 * case.minutes
    offset_s = float(rng.uniform(-1, 1) * min(20.0, seconds / 4))
    lost_at_s = float(rng.uniform(0.1, 0.9) * seconds) if case.lost_s else 0.0
    truth = Truth(offset_s, case.ppm, lost_at_s, case.lost_s)
    microphones = _microphones(rng, case)
    sounds = [np.zeros(int(seconds * RATE), np.float32) for _ in range(2)]
    for track, path in _sources(rng, case, seconds + 2 * LEAD_S):
        for k, (start_s, ppm) in enumerate(((0.0, 0.0), (offset_s, case.ppm))[: 1 + both]):
            sounds[k] += _at(track, path, microphones[k], start_s, ppm, len(sounds[k]), case, rng)
    loud = 100 if case.content == "tones" else 70
    heard = [_microphone(x, case.snr_db, loud, rng) for x in sounds[: 1 + both]]
    if not both:
        return heard[0], heard[0][:0], truth
    if case.lost_s:
        first = round(lost_at_s * RATE)
        heard[1] = np.delete(heard[1], slice(first, first + round(case.lost_s * RATE)))
    return heard[0], heard[1], truth


def write(case: Case, folder: Path) -> tuple[Path, Path, Truth]:
    """The pair as files: a FLAC at 48 kHz as a kit's, and the other in its codec at 48 kHz."""
    reference, other, truth = make(case)
    paths = []
    for name, x, suffix in (("reference", reference, "flac"), ("other", other, case.codec)):
        plain = folder / f"{name}.16k.wav"
        soundfile.write(plain, x, RATE, subtype="PCM_16")
        path = folder / f"{name}.{suffix}"
        rate = ["-b:a", "96k"] if suffix in ("m4a", "mp3") else []
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(plain), "-ar", "48000", *rate, str(path)]
        subprocess.run(command, check=True, timeout=3000)
        plain.unlink()
        paths.append(path)
    return paths[0], paths[1], truth


def _microphones(rng: np.random.Generator, case: Case) -> list[np.ndarray]:
    middle = np.array([2.4, 2.0, 1.4]) + rng.uniform(-0.3, 0.3, 3)
    way = rng.normal(size=3) * [1, 1, 0.3]
    way *= case.apart_m / 2 / np.linalg.norm(way)
    return [middle - way, middle + way]


def _sources(rng: np.random.Generator, case: Case, seconds: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """(samples from -LEAD_S on, places): places is (K, 3), one every two seconds, or one that stays."""
    n = int(seconds * RATE)
    if case.content == "speech":
        tracks = _talk(rng, n, 3)
    elif case.content == "music":
        tracks = [_music(rng, n), 0.5 * _talk(rng, n, 1)[0]] if case.moving else [_music(rng, n)]
    elif case.content == "home":
        tracks = [_home(rng, n) for _ in range(4)]
    else:
        quiet = 0.003 * _home(rng, n)
        for kind, at_s in (("start", LEAD_S + 22.0), ("end", seconds - LEAD_S - 24.0)):
            first = int(at_s * RATE)
            quiet[first : first + RATE] += signal.resample_poly(tone(kind), 1, 3)[:RATE]
        tracks = [quiet]
    return [(t, _places(rng, seconds, case.moving and case.content != "tones")) for t in tracks]


def _places(rng: np.random.Generator, seconds: float, moving: bool) -> np.ndarray:
    """Somewhere in the room, or a walk through it at up to 0.7 m a second."""
    low, high = np.array([0.4, 0.4, 1.1]), ROOM_M - [0.4, 0.4, 0.8]
    if not moving:
        return rng.uniform(low, high)[None]
    steps = rng.uniform(low, high, (int(seconds / 6) + 3, 3))
    walk = ndimage.zoom(steps, (3, 1), order=1)
    return np.asarray(ndimage.uniform_filter1d(walk, 3, axis=0))


def _at(
    track: np.ndarray,
    places: np.ndarray,
    microphone: np.ndarray,
    start_s: float,
    ppm: float,
    count: int,
    case: Case,
    rng: np.random.Generator,
) -> np.ndarray:
    """What one microphone hears of one source."""
    distance = np.linalg.norm(places - microphone, axis=1)
    out = np.empty(count, np.float32)
    block = 30 * RATE
    for first in range(0, count, block):
        t = start_s + np.arange(first, min(first + block, count)) / RATE * (1 + ppm * 1e-6)
        way = np.interp(t + LEAD_S, 2.0 * np.arange(len(distance)), distance)
        at = (t + LEAD_S - way / SOUND_M_S) * RATE
        low = max(int(at[0]) - 16, 0)
        piece = track[low : int(at[-1]) + 16]
        out[first : first + len(t)] = ndimage.map_coordinates(piece, [at - low], order=3) / np.maximum(way, 0.3)
    if case.room == "dry":
        return out
    return signal.oaconvolve(out, _response(rng, places[0], microphone))[:count].astype(np.float32)


def _response(rng: np.random.Generator, source: np.ndarray, microphone: np.ndarray, t60_s: float = 0.45) -> np.ndarray:
    """Direct sound at 0, mirrored sources of the shoebox room after it, and a diffuse tail."""
    reach, absorbed = 3, 0.72
    direct = np.linalg.norm(source - microphone)
    h = np.zeros(int(t60_s * RATE))
    cells = np.arange(-reach, reach + 1)
    cells = np.stack(np.meshgrid(cells, cells, cells), -1).reshape(-1, 3)
    for p in np.ndindex(2, 2, 2):
        mirror = (1 - 2 * np.array(p)) * source
        far = np.linalg.norm(mirror + 2 * cells * ROOM_M - microphone, axis=1)
        bounces = np.abs(2 * cells - p).sum(axis=1)
        k = np.rint((far - direct) / SOUND_M_S * RATE).astype(int)
        heard = (k >= 0) & (k < len(h)) & ((bounces > 0) | (k == 0))
        np.add.at(h, k[heard], absorbed ** bounces[heard] * direct / far[heard])
    t = np.arange(len(h)) / RATE
    tail = rng.normal(size=len(h)) * np.exp(-6.9 * t / t60_s) * np.minimum(t / 0.03, 1)
    return h + 0.02 * direct * tail


def equalised(x: np.ndarray, rng: np.random.Generator, low_hz: tuple[float, float] = (70, 200)) -> np.ndarray:
    """Through a cheap microphone or speaker: both ends of the band cut, and a resonance or a hole in the middle."""
    low = signal.butter(2, rng.uniform(*low_hz), "high", fs=RATE, output="sos")
    high = signal.butter(1, rng.uniform(4500, 7500), fs=RATE, output="sos")
    x = signal.sosfilt(high, signal.sosfilt(low, x))
    b, a = signal.iirpeak(rng.uniform(800, 4000), rng.uniform(1, 4), fs=RATE)
    return np.asarray(x + rng.uniform(-0.4, 1.0) * signal.lfilter(b, a, x))


def still(track: np.ndarray, place: np.ndarray, ear: np.ndarray, room: str, rng: np.random.Generator) -> np.ndarray:
    """What is heard at `ear` of a track (sample 0 at time 0) that sounds at `place`."""
    way_m = float(np.linalg.norm(place - ear))
    at = np.arange(len(track)) - way_m / SOUND_M_S * RATE
    x = ndimage.map_coordinates(track, [at], order=3, mode="constant") / max(way_m, 0.3)
    return x if room == "dry" else signal.oaconvolve(x, _response(rng, place, ear))[: len(x)]


def backgrounds(rng: np.random.Generator, n: int, kind: str) -> list[np.ndarray]:
    """What sounds in a room: ``speech``, ``music``, ``home``, or ``noise``: nothing but the microphones' own."""
    if kind == "speech":
        return _talk(rng, n, 2)
    makers = {"music": [_music], "home": [_home, _home], "noise": []}[kind]
    return [make(rng, n) for make in makers]


def _microphone(x: np.ndarray, snr_db: float, loud: int, rng: np.random.Generator) -> np.ndarray:
    """Equaliser, and a noise of its own below the `loud`-th percentile of its seconds; level."""
    x = equalised(x, rng)
    block = x[: len(x) // RATE * RATE].reshape(-1, RATE)
    level = float(np.sqrt(np.percentile(np.mean(block**2, axis=1), loud)))
    noise = signal.lfilter([1.0], [1.0, -rng.uniform(0.5, 0.9)], rng.standard_normal(len(x)).astype(np.float32))
    x = x + noise * (level / noise.std() * 10 ** (-snr_db / 20))
    return (rng.uniform(0.15, 0.5) * x / np.abs(x).max()).astype(np.float32)


def _talk(rng: np.random.Generator, n: int, talkers: int) -> list[np.ndarray]:
    """Talkers who take turns."""
    tracks = [np.zeros(n, np.float32) for _ in range(talkers)]
    voices = [_voice(rng, n // talkers + 30 * RATE, VOICES[k % len(VOICES)]) for k in range(talkers)]
    used, at, who = [0] * talkers, 0, 0
    while at < n:
        length = min(int(rng.uniform(2, 9) * RATE), n - at)
        piece = np.take(voices[who], np.arange(used[who], used[who] + length), mode="wrap")
        edge = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.02 * RATE))
        tracks[who][at : at + length] += (piece * edge).astype(np.float32)
        used[who] += length
        at += length + int(rng.uniform(0.1, 1.0) * RATE)
        who = int(rng.integers(talkers))
    return tracks


def _voice(rng: np.random.Generator, n: int, voice: str) -> np.ndarray:
    """At least `n` samples of speech: espeak-ng, or synthesised syllables where it is not installed."""
    words = random.Random(int(rng.integers(2**31)))
    pitch, speed = int(rng.integers(25, 75)), int(rng.integers(130, 190))
    if shutil.which("espeak-ng") is None:
        return _syllables(rng, n)
    count = int(n / RATE * speed / 60 * 1.5) + 40
    text = " ".join(words.choice(WORDS) + words.choice(["", "", "", "", ",", "."]) for _ in range(count))
    command = ["espeak-ng", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", "--stdin"]
    found = subprocess.run(command, input=text.encode(), capture_output=True, check=True, timeout=3000).stdout
    x = np.frombuffer(found[44:], np.int16).astype(np.float32) / 32768
    return signal.resample_poly(x, 320, 441).astype(np.float32)


def _syllables(rng: np.random.Generator, n: int) -> np.ndarray:
    out, at = np.zeros(n, np.float32), 0
    while at < n - RATE:
        length = int(rng.uniform(0.08, 0.3) * RATE)
        t = np.arange(length) / RATE
        wave = signal.sawtooth(2 * np.pi * np.cumsum(rng.uniform(90, 260) * (1 + rng.uniform(-1, 1) * t)) / RATE)
        wave = wave if rng.random() < 0.7 else rng.standard_normal(length)
        for centre in rng.uniform([300, 900, 2200], [900, 2200, 5000]):
            wave = wave + 3 * signal.lfilter(*signal.iirpeak(centre, 6, fs=RATE), wave)
        out[at : at + length] += (0.1 * wave * np.hanning(length)).astype(np.float32)
        at += length + int(rng.exponential(0.06) * RATE)
    return out


def _music(rng: np.random.Generator, n: int) -> np.ndarray:
    """Chords and melody with harmonics, and a drum now and then off the beat."""
    out = np.zeros(n + 2 * RATE, np.float32)
    beat, at = float(rng.uniform(0.35, 0.55)), 0.0
    while at < n / RATE:
        first, length = int(at * RATE), int(rng.uniform(0.4, 1.4) * RATE)
        t = np.arange(length) / RATE
        for _ in range(int(rng.integers(1, 4))):
            base = 110 * 2 ** (rng.integers(0, 36) / 12)
            ground = np.exp((2j * np.pi * base - rng.uniform(1, 3)) * t).astype(np.complex64)
            wave = ground.copy()
            for harmonic in range(1, 7):
                out[first : first + length] += np.float32(0.1 / harmonic) * wave.imag
                wave *= ground
        if rng.random() < 0.6:
            out[first : first + 2000] += (0.2 * rng.normal(size=2000) * np.exp(-np.arange(2000) / 400)).astype(
                np.float32
            )
        at += beat * float(rng.choice([0.5, 1.0, 1.0, 2.0])) * float(rng.uniform(0.97, 1.03))
    return out[:n]


def _home(rng: np.random.Generator, n: int) -> np.ndarray:
    """Contacts, steps, a tap that runs for a while: noise in bursts of many lengths and colours."""
    out = np.zeros(n + 8 * RATE, np.float32)
    for first in rng.integers(0, n, int(n / RATE * 0.7)):
        length = int(RATE * rng.choice([0.03, 0.1, 0.3, 1.0, 5.0], p=[0.4, 0.3, 0.2, 0.07, 0.03]))
        b, a = signal.iirpeak(rng.uniform(200, 5000), rng.uniform(1.5, 6), fs=RATE)
        burst = signal.lfilter(b, a, rng.standard_normal(length)) * np.exp(-3 * np.arange(length) / length)
        out[first : first + length] += (rng.uniform(0.02, 0.3) * burst).astype(np.float32)
    return out[:n]


def strangers(count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Pairs that must be refused: (kind, one, other, number)."""
    pool = [_alone(("speech", "home", "music")[k % 3], 5000 + k) for k in range(POOL)]
    apart = list(combinations(range(POOL), 2))
    makers = (_later, _loop, _periodic, _silence, _pure, _toned)
    for number in range(count):
        if number % 2:
            rng = np.random.default_rng([number, 3])
            make = makers[number // 2 % len(makers)]
            yield make.__name__[1:], *make(rng, pool), number
        else:
            k, other = apart[number // 2 % len(apart)]
            yield "unrelated", pool[k], pool[other], number


def _alone(content: str, seed: int) -> np.ndarray:
    return make(Case(content, 20.0, "echo", seed=seed), both=False)[0]


def _two(rng: np.random.Generator, pool: list[np.ndarray]) -> list[np.ndarray]:
    return [pool[k] for k in rng.choice(len(pool), 2, replace=False)]


def _later(rng: np.random.Generator, pool: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """One room at two times: the fridge and the mains are the same, the people are not."""
    first, second = _two(rng, pool)
    t = np.arange(len(first)) / RATE
    hum = 0.01 * sum(np.sin(2 * np.pi * 50 * k * t + k) / k for k in (1, 2, 3, 5))
    return first + hum, second + np.roll(hum, int(rng.integers(RATE)))


def _toned(rng: np.random.Generator, pool: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Two sessions that both began with the start tone."""
    made = []
    for x in _two(rng, pool):
        x, first = x.copy(), int(rng.uniform(2, 40) * RATE)
        x[first : first + RATE] += 0.2 * signal.resample_poly(tone("start"), 1, 3)[:RATE]
        made.append(x)
    return made[0], made[1]


def _shifted(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two microphones that begin at different times of one sound."""
    n, cut = len(x) - 10 * RATE, int(rng.integers(1, 10 * RATE))
    one, other = (_microphone(np.asarray(x[k : k + n], np.float32), 20.0, 70, rng) for k in (0, cut))
    return one, other


def _loop(rng: np.random.Generator, _: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return _shifted(np.resize(_music(rng, int(rng.uniform(2, 6) * RATE)), 60 * RATE), rng)


def _periodic(rng: np.random.Generator, _: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return _shifted(np.resize(np.eye(1, int(rng.uniform(0.2, 1.5) * RATE))[0], 60 * RATE), rng)


def _pure(rng: np.random.Generator, _: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return _shifted(np.sin(2 * np.pi * rng.uniform(100, 2000) * np.arange(60 * RATE) / RATE), rng)


def _silence(rng: np.random.Generator, _: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Nothing but each microphone's own noise."""
    one, other = (_microphone(1e-6 * rng.normal(size=50 * RATE), -40.0, 70, rng) for _ in range(2))
    return one, other
