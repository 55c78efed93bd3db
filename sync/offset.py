"""Two sounds in, one answer out: what `syncctl offset` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from firmware_host.clockmap import Piece
from recorder.series import Sound
from sync.correlate import compare
from sync.fuse import fuse
from sync.waveform import Wave


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
    pairing = compare(other, reference, apart_m)
    spans = {s.clock: (s.t0_ns, s.t0_ns + round(1e9 * s.duration_s)) for s in (other, reference)}
    found = fuse([pairing], spans, reference.clock).maps[0]
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


def _offset_s(piece: Piece) -> float:
    """The offset at source time 0, seconds."""
    at_zero_ns = piece.target_ns - piece.origin_ns - piece.origin_ns * piece.skew_ppm * 1e-6
    return round(at_zero_ns * 1e-9, 9)
