"""Two sounds in, one answer out: what `syncctl offset` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap, Piece
from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync import tones
from sync.alignment import MAX_SKEW_PPM, SPEED_OF_SOUND_M_S, Pairing, Recording
from sync.correlate import compare
from sync.fuse import fuse
from sync.waveform import Wave

LONG_SILENCE = 0.25
"""Share of the shorter recording in which nothing was heard in common: a loss there would not show, but for a tone."""
TONE_MISFIT_NS = 20e6


def measure(other: Sound | Wave, reference: Sound | Wave, apart_m: float) -> dict[str, Any]:
    """Offset and drift of one sound against another, as design section 6 promises them.

    Args:
        other: the sound whose times are to be mapped.
        reference: the sound whose clock they are mapped to.
        apart_m: distance between the microphones, m.

    Raises:
        EvidenceError: they have nothing in common that is sure.
    """
    if other.clock == reference.clock:
        other = replace(other, clock=f"{other.clock} (again)")
    spans = {s.clock: (s.t0_ns, s.t0_ns + round(1e9 * s.duration_s)) for s in (other, reference)}
    pairing = _compared(other, reference, apart_m)
    found = fuse([pairing], spans, reference.clock).maps[0]
    if pairing.evidence.get("longest_silent_s", 0.0) > LONG_SILENCE * min(other.duration_s, reference.duration_s):
        _agrees_with_tones(found, _tones(other, reference, apart_m))
    pieces = [
        {
            "start_s": round(p.start_ns * 1e-9, 6),
            "stop_s": round(p.stop_ns * 1e-9, 6),
            "offset_s": _offset_s(p),
            "skew_ppm": round(p.skew_ppm, 4),
        }
        for p in found.pieces
    ]
    longest = max(pieces, key=lambda p: p["stop_s"] - p["start_s"])
    return {
        "verdict": pairing.verdict,
        "reason": pairing.reason,
        "offset_s": longest["offset_s"],
        "skew_ppm": longest["skew_ppm"],
        "sigma_s": round(max(p.sigma_ns for p in found.pieces) * 1e-9, 9),
        "score": round(pairing.score, 4),
        "pieces": pieces,
        "evidence": pairing.evidence,
    }


def _compared(other: Sound | Wave, reference: Sound | Wave, apart_m: float) -> Pairing:
    """All of the sound; or, where that is not sure, two tones or more that both heard."""
    refusal: EvidenceError | None = None
    pairing: Pairing | None = None
    try:
        pairing = compare(other, reference, apart_m)
        if pairing.verdict == "ok":
            return pairing
    except EvidenceError as error:
        refusal = error
    told = _tones(other, reference, apart_m)
    if told is not None and len(told.matches) > 1 and _steady(told):
        return replace(told, reason="by the tones alone; the sound between them says less")
    if pairing is None:
        raise refusal or EvidenceError("nothing was compared")
    return pairing


def _tones(other: Sound | Wave, reference: Sound | Wave, apart_m: float) -> Pairing | None:
    """The tones that both heard from one speaker, None where they did not."""
    try:
        told = tones.match(Recording(other.clock, other), Recording(reference.clock, reference))
    except EvidenceError:
        return None
    path = ("sound path of the tones", apart_m / SPEED_OF_SOUND_M_S * 1e9)
    return replace(told, matches=tuple(replace(m, shared=(path,)) for m in told.matches))


def _steady(told: Pairing) -> bool:
    """Whether one clock's drift explains all the tones."""
    t_ns, offset_ns = (np.array([getattr(m, name) for m in told.matches]) for name in ("t_ns", "offset_ns"))
    return bool(np.ptp(offset_ns) < TONE_MISFIT_NS + MAX_SKEW_PPM * 1e-6 * np.ptp(t_ns))


def _agrees_with_tones(found: ClockMap, told: Pairing | None) -> None:
    for m in told.matches if told else ():
        off_ns = m.t_ns + m.offset_ns - int(found.forward(m.t_ns))
        if abs(off_ns) > TONE_MISFIT_NS:
            raise EvidenceError(
                f"the tone at {m.t_ns * 1e-9:.1f} s of {m.source} is {off_ns * 1e-9:+.3f} s from where the other sound "
                "puts it, so samples were lost in a stretch too quiet to say when; cut the recording there"
            )


def _offset_s(piece: Piece) -> float:
    """The offset at source time 0, seconds."""
    at_zero_ns = piece.target_ns - piece.origin_ns - piece.origin_ns * piece.skew_ppm * 1e-6
    return round(at_zero_ns * 1e-9, 9)
