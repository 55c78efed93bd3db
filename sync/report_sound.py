"""What the microphones heard, before and after: to look at, and to listen to with one device in each ear."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from html import escape

import numpy as np
import soundfile

from sync import phat
from sync.alignment import Alignment, Pairing
from sync.figure import COLOURS, Curve, Figure, svg
from sync.onsets import Line
from sync.waveform import WORK_HZ, Wave

TONE_BEFORE_S, TONE_AFTER_S = 0.01, 0.05
PEAK_MS = 12.0
LISTEN_S = 4.0
LOOK_S = 1.2
LOUD = 0.5


def listening(alignment: Alignment, sounds: Mapping[str, Wave]) -> Iterator[str]:
    """For each clock a stretch of its sound beside the reference's: as the files begin, and by the aligned clocks."""
    reference = sounds.get(alignment.reference)
    if reference is None:
        return
    for m in alignment.maps:
        if m.source not in sounds:
            continue
        sound = sounds[m.source]
        at_ns = _loud_ns(alignment, m.source, sound)
        there_ns = m.forward(at_ns)
        same_ns = reference.t0_ns + (at_ns - sound.t0_ns)
        pair = f"{alignment.reference} and {m.source}"
        yield _heard(f"{pair}, as the files begin", reference, same_ns, sound, at_ns)
        yield _heard(f"{pair}, aligned", reference, there_ns, sound, at_ns)


def _loud_ns(alignment: Alignment, clock: str, sound: Wave) -> int:
    """A time on `clock` at which there is much to hear in common: the best match of sound, else the middle."""
    heard = [m for p in alignment.pairings if p.method in ("audio", "tones") for m in p.matches]
    own = [(m.method != "audio", -m.score, m.t_ns) for m in heard if m.source == clock]
    own += [(m.method != "audio", -m.score, m.t_ns + m.offset_ns) for m in heard if m.target == clock]
    end_ns = sound.t0_ns + round(1e9 * sound.duration_s)
    at_ns = min(own)[2] if own else (sound.t0_ns + end_ns) // 2
    half_ns = min(round(5e8 * LISTEN_S), (end_ns - sound.t0_ns) // 2)
    return min(max(at_ns, sound.t0_ns + half_ns), end_ns - half_ns)


def _heard(title: str, left: Wave, left_ns: int, right: Wave, right_ns: int) -> str:
    """A figure and a player: one sound above and in the left ear, the other below and in the right."""
    count = round(LISTEN_S * WORK_HZ)
    ears = [_cut(sound, t_ns, count) for sound, t_ns in ((left, left_ns), (right, right_ns))]
    near = slice(round((LISTEN_S - LOOK_S) / 2 * WORK_HZ), round((LISTEN_S + LOOK_S) / 2 * WORK_HZ))
    t_s = (np.arange(count) - count / 2)[near] / WORK_HZ
    curves = [
        Curve(t_s, 0.45 * x[near] / LOUD - number, name=sound.clock, colour=number)
        for number, (x, sound) in enumerate(zip(ears, (left, right), strict=True))
    ]
    buffer = io.BytesIO()
    soundfile.write(buffer, np.column_stack(ears), WORK_HZ, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(buffer.getvalue()).decode()
    label = escape(f"{title}: {left.clock} in the left ear, {right.clock} in the right")
    player = f'<audio controls preload="metadata" aria-label="{label}" src="data:audio/flac;base64,{data}"></audio>'
    figure = svg(Figure(title, "seconds", "", curves, f"Left ear: {left.clock}. Right ear: {right.clock}."))
    return figure.replace("</figure>", f"{player}</figure>")


def _cut(sound: Wave, t_ns: int, count: int) -> np.ndarray:
    """(count,) float32 around a time on the sound's clock, as loud as can be heard; zeros where there is no sound."""
    x = sound.cut(round((t_ns - sound.t0_ns) * 1e-9 * sound.rate_hz) - count // 2, count)
    return np.asarray(x * (LOUD / (float(np.abs(x).max()) + 1e-9)), np.float32)


def tone_figures(alignment: Alignment, sounds: Mapping[str, Wave]) -> Iterator[Figure]:
    """The first moment of each tone in every microphone: by file time, then by the aligned clocks."""
    pairings = [p for p in alignment.pairings if p.method == "tones"]
    count = max((len(p.matches) for p in pairings), default=0)
    for number in range(count):
        events = [p.matches[number] for p in pairings if number < len(p.matches)]
        at_ns = alignment.to_reference(events[0].source).forward(events[0].t_ns)
        which = "first" if number == 0 else "last" if number == count - 1 else f"number {number + 1}"
        yield Figure(
            f"The {which} tone",
            f"milliseconds on the clock of {alignment.reference}",
            "",
            list(_tone_curves(alignment, sounds, at_ns)),
            "The tone's first milliseconds. What is left between the lines is the way of the sound: 2.9 ms a metre.",
            marks=(0.0,),
        )


def _tone_curves(alignment: Alignment, sounds: Mapping[str, Wave], at_ns: int) -> Iterator[Curve]:
    for number, (clock, sound) in enumerate(sounds.items()):
        to_reference = alignment.to_reference(clock)
        local_ns = to_reference.inverse(at_ns) - sound.t0_ns
        first = round((local_ns * 1e-9 - TONE_BEFORE_S) * sound.rate_hz)
        last = first + round((TONE_BEFORE_S + TONE_AFTER_S) * sound.rate_hz)
        index = np.arange(max(first, 0), min(last, len(sound)))
        if len(index) > 1:
            y = sound.cut(int(index[0]), len(index))
            x = (to_reference.forward(sound.times_ns(index)) - at_ns) * 1e-6
            yield Curve(x, y / (np.abs(y).max() + 1e-9) * 0.45 - number, name=clock, colour=number % COLOURS)


def peak_figures(alignment: Alignment, sounds: Mapping[str, Wave]) -> Iterator[Figure]:
    """The correlation of the best window of each pair of sounds."""
    for p in alignment.pairings:
        if p.method != "audio" or p.source not in sounds or p.target not in sounds:
            continue
        if "window_samples" not in p.evidence:
            continue
        a, b = sounds[p.source], sounds[p.target]
        best = max(p.matches, key=lambda m: m.score)
        u_ns = float(best.t_ns - a.t0_ns)
        line = Line(u_ns, float(best.offset_ns - b.t0_ns + a.t0_ns), _skew(p))
        lag_ns, height = phat.peak_shape(a, b, line, u_ns, round(p.evidence["window_samples"]))
        near = np.abs(lag_ns) < PEAK_MS * 1e6
        yield Figure(
            f"{p.source} → {p.target}",
            "milliseconds from the lag that was found",
            "height",
            [Curve(lag_ns[near] * 1e-6, height[near])],
            f"Best of {len(p.matches)} windows; the runner-up along another line reached "
            f"{100 * p.evidence.get('runner_up', 0.0):.0f} %.",
        )


def _skew(pairing: Pairing) -> float:
    first, last = pairing.matches[0], pairing.matches[-1]
    return (last.offset_ns - first.offset_ns) / max(last.t_ns - first.t_ns, 1)
