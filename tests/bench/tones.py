"""Tones, ours and plain sine bursts: how far off, how often missed, and how often heard where there is none.

Each scene is one room with a loudspeaker, one or two microphones some metres away, and something else that goes on
(noise, speech, music, a household), as loud as `snr_db` says at the microphone while the tone sounds. Every microphone
has its own equaliser, every third recording went through AAC or MP3. Errors are against the time at which the sound
left the speaker plus its way to the microphone. False tones are sought in hours of speech, music, household and noise
without any.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from firmware_host.errors import EvidenceError
from recorder.demux import read_sound_file
from recorder.series import Sound
from recorder.tone import tone
from sync import bursts, tones
from sync.alignment import Recording
from sync.bursts import Sine
from tests.bench import scenes
from tests.bench.scenes import RATE, ROOM_M, SOUND_M_S, equalised

BESIDE = ("noise", "speech", "music", "home")
SNRS = (20.0, 0.0, -10.0)
ROOMS = ("dry", "echo")
SCENES, HOURS = 10, 10.0
SINES = (Sine(440.0, 0.5), Sine(1000.0, 1.0), Sine(2500.0, 0.3))
SECONDS = 16.0
AT_S = {"start": 3.0, "end": 10.0}
GOOD_SINE_MS = 3.0


@dataclass(frozen=True)
class Heard:
    """What `count` microphones recorded, and how long the sound was on its way to each, s."""

    sounds: tuple[Sound, ...]
    way_s: tuple[float, ...]


def main(arguments: list[str] | None = None) -> None:
    """Run and print."""
    quick = "--quick" in (sys.argv if arguments is None else arguments)
    own(1 if quick else SCENES)
    sine(1 if quick else SCENES)
    false_tones(0.2 if quick else HOURS)


def scene(played: dict[float, np.ndarray], beside: str, snr_db: float, room: str, seed: int, count: int) -> Heard:
    """A room in which `played` (time in s -> waveform at `RATE`) leaves one speaker while something else goes on."""
    rng = np.random.default_rng([seed, 19])
    n = int(SECONDS * RATE)
    track = np.zeros(n, np.float32)
    mask = np.zeros(n, bool)
    for at_s, wave in played.items():
        first = round(at_s * RATE)
        track[first : first + len(wave)] += wave
        mask[first : first + len(wave)] = True
    speaker = rng.uniform([0.5, 0.5, 0.8], ROOM_M - 0.5)
    track = equalised(track, rng, (150.0, 350.0))
    others = scenes.backgrounds(rng, n, beside)
    places = [rng.uniform([0.4, 0.4, 1.0], ROOM_M - 0.4) for _ in others]
    sounds, ways = [], []
    for number in range(count):
        ear = rng.uniform([0.5, 0.5, 0.8], ROOM_M - 0.5)
        heard = scenes.still(track, speaker, ear, room, rng)
        rest = sum((scenes.still(o, p, ear, room, rng) for o, p in zip(others, places, strict=True)), np.zeros(n))
        hiss = signal.lfilter([1.0], [1.0, -0.6], rng.standard_normal(n))
        rest = rest + hiss * ((rest.std() or 1.0) / hiss.std()) * (0.3 if others else 1.0)
        rest *= np.sqrt(np.mean(heard[mask] ** 2) / np.mean(rest[mask] ** 2)) * 10 ** (-snr_db / 20)
        x = equalised(heard + rest, rng)
        suffix = ("", "m4a", "mp3")[(seed + number) % 9 // 3 if (seed + number) % 3 == 0 else 0]
        sounds.append(_recorded(0.5 * x / np.abs(x).max(), suffix, f"kit-{number}"))
        ways.append(float(np.linalg.norm(ear - speaker)) / SOUND_M_S)
    return Heard(tuple(sounds), tuple(ways))


def _recorded(x: np.ndarray, suffix: str, clock: str) -> Sound:
    if not suffix:
        return Sound(x.astype(np.float32), float(RATE), 0, clock)
    with tempfile.TemporaryDirectory() as folder:
        plain, path = Path(folder) / "x.wav", Path(folder) / f"x.{suffix}"
        soundfile.write(plain, x, RATE, subtype="PCM_16")
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(plain), "-ar", "48000", "-b:a", "96k", str(path)]
        subprocess.run(command, check=True, timeout=60)
        return read_sound_file(path, clock)


def own(count: int) -> None:
    """Our tones, in every combination."""
    print("own tones: error of the time it was heard, ms; within: share of errors within 2 sigma")
    print(
        f"{'room':6}{'SNR dB':>7}{'tones':>7}{'missed':>8}{'wrong':>7}{'median':>9}{'p95':>9}{'worst':>9}{'within':>9}"
    )
    played = {at: signal.resample_poly(tone(kind), 1, 3) for kind, at in AT_S.items()}
    for room, snr_db in product(ROOMS, SNRS):
        errors, sigmas, missed, wrong = [], [], 0, 0
        for seed, beside in product(range(count), BESIDE):
            heard = scene(played, beside, snr_db, room, 100 * seed + BESIDE.index(beside), 1)
            truth = {k: at + heard.way_s[0] for k, at in AT_S.items()}
            try:
                found = tones.find(heard.sounds[0])
            except EvidenceError:
                found = ()
            near = [t for t in found if abs(1e-9 * t.t_ns - truth[t.kind]) < 0.1]
            wrong += len(found) - len(near)
            missed += len(truth) - len(near)
            errors += [1e3 * abs(1e-9 * t.t_ns - truth[t.kind]) for t in near]
            sigmas += [1e-6 * t.sigma_ns for t in near]
        print(f"{room:6}{snr_db:7.0f}{len(errors) + missed:7}{missed:8}{wrong:7}{_figures(errors, sigmas)}", flush=True)


def sine(count: int) -> None:
    """Plain bursts, kit against kit: error of the offset between two microphones."""
    print("sine bursts, one kit against another: error of the offset, ms")
    print(
        f"{'room':6}{'SNR dB':>7}{'pairs':>7}{'refused':>8}{'>3 ms':>7}{'median':>9}{'p95':>9}{'worst':>9}{'within':>9}"
    )
    for room, snr_db in product(ROOMS, SNRS):
        errors, sigmas, refused = [], [], 0
        for seed, beside, kind in product(range(-(-count // len(SINES))), BESIDE, SINES):
            at = dict.fromkeys(AT_S.values(), burst(kind, 0.005 * (seed % 3)))
            heard = scene(at, beside, snr_db, room, 100 * seed + 10 * SINES.index(kind) + BESIDE.index(beside), 2)
            try:
                found = bursts.match(*(Recording(s.clock, s) for s in heard.sounds), kind).matches
            except EvidenceError:
                refused += 1
                continue
            true_ns = 1e9 * (heard.way_s[1] - heard.way_s[0])
            errors += [1e-6 * abs(m.offset_ns - true_ns) for m in found]
            sigmas += [1e-6 * m.sigma_ns for m in found]
        over = sum(e > GOOD_SINE_MS for e in errors)
        print(f"{room:6}{snr_db:7.0f}{len(errors):7}{refused:8}{over:7}{_figures(errors, sigmas)}", flush=True)


def burst(kind: Sine, ramp_s: float) -> np.ndarray:
    """A sine burst at `RATE` that fades in and out over `ramp_s`."""
    t = np.arange(round(kind.length_s * RATE)) / RATE
    edge = np.minimum(1.0, np.minimum(t, kind.length_s - t) / max(ramp_s, 1e-6))
    return (0.5 * np.sin(2 * np.pi * kind.hz * t) * edge).astype(np.float32)


def _figures(errors: list[float], sigmas: list[float]) -> str:
    if not errors:
        return ""
    e, s = np.array(errors), np.array(sigmas)
    figures = f"{np.median(e):9.3f}{np.percentile(e, 95):9.3f}{e.max():9.3f}"
    return f"{figures}{100 * np.mean(e < 2 * s):8.0f} %"


def false_tones(hours: float) -> None:
    """Minutes without any tone; what is heard in them is false."""
    heard: dict[str, list[str]] = {}
    for beside in BESIDE:
        own_found, sine_found = 0, 0
        for number in range(max(round(6 * hours / len(BESIDE)), 1)):
            rng = np.random.default_rng([number, BESIDE.index(beside), 23])
            n = 600 * RATE
            parts = [*scenes.backgrounds(rng, n, beside), 0.003 * rng.standard_normal(n)]
            sound = Sound(np.sum(parts, axis=0, dtype=np.float32), float(RATE), 0, beside)
            own_found += _count(lambda sound=sound: tones.find(sound))
            sine_found += _count(lambda sound=sound: bursts.find(sound, SINES[1]))
        heard[beside] = [str(own_found), str(sine_found)]
    print(f"false tones in {hours:g} hours: " + ", ".join(f"{k}: {a} own, {b} sine" for k, (a, b) in heard.items()))


def _count(search) -> int:
    try:
        return len(search())
    except EvidenceError:
        return 0
