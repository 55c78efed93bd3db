"""Two sounds in, one answer out: what `syncctl offset` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap, Piece
from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync import tones
from sync.alignment import MAX_SKEW_PPM, SPEED_OF_SOUND_M_S, Match, Pairing, Recording
from sync.correlate import compare
from sync.fuse import PRIOR_SKEW_PPM, fuse
from sync.waveform import Wave

LONG_SILENCE = 0.25
"""Share of the shorter recording in which nothing was heard in common: a loss there would not show, but for a tone."""
TONE_MISFIT_NS = 20e6
WIDE_PPM = MAX_SKEW_PPM / np.sqrt(3)
"""Standard deviation of a drift that may be anything a clock does."""
FAR_S, FAR_SHARE, REACH_S = 10.0, 0.25, 2.0
"""How far beyond the first and the last window or tone a recording may go on unproved: seconds, or the share of what
both recorded; a window reaches so far to either side of its centre."""


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
    pairing = _any_direction(_compared(other, reference, apart_m))
    found = fuse([pairing], spans, reference.clock).maps[0]
    if pairing.evidence.get("longest_silent_s", 0.0) > LONG_SILENCE * min(other.duration_s, reference.duration_s):
        _agrees_with_tones(found, _tones(other, reference, apart_m))
    common_s, unproved, beyond = _covered(pairing, found, spans)
    sigma_ns = float(np.hypot(max(p.sigma_ns for p in found.pieces), _drift_doubt_ns(pairing, spans)))
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
        "verdict": "coarse" if unproved else pairing.verdict,
        "reason": "; ".join(filter(None, (pairing.reason, unproved, beyond))),
        "offset_s": longest["offset_s"],
        "skew_ppm": longest["skew_ppm"],
        "sigma_s": round(sigma_ns * 1e-9, 9),
        "score": round(pairing.score, 4),
        "pieces": pieces,
        "common_s": common_s,
        "evidence": pairing.evidence,
    }


def _any_direction(pairing: Pairing) -> Pairing:
    """The paths' error for microphones whose distance is known: from a source in any direction it spreads evenly.

    An even spread between minus and plus the distance has a standard deviation of the distance over the root of 3.
    """

    def shared(m: Match) -> tuple[tuple[str, float], ...]:
        return tuple((name, error / np.sqrt(3) if name.startswith("sound path") else error) for name, error in m.shared)

    return replace(pairing, matches=tuple(replace(m, shared=shared(m)) for m in pairing.matches))


def _drift_doubt_ns(pairing: Pairing, spans: dict[str, tuple[int, int]]) -> float:
    """How far an end of the recording may be off since the fusion takes for granted what most clocks do.

    Its prior of 100 ppm pulls a worse clock back where a minute of weak sound cannot object. Here the drift and its
    variance under that prior are compared with those under one that holds all clocks up to `MAX_SKEW_PPM`.
    """
    t, y, sigma = (np.array([getattr(m, n) for m in pairing.matches], float) for n in ("t_ns", "offset_ns", "sigma_ns"))
    t, y = (t - t.mean()) * 1e-9, (y - y.mean()) * 1e-3
    weight = (1e3 / sigma) ** 2
    piece = np.array([m.piece for m in pairing.matches])
    for number in np.unique(piece):
        here = piece == number
        for x in (t, y):
            x[here] -= np.average(x[here], weights=weight[here])
    knowledge = float(np.sum(weight * t * t))
    heard = float(np.sum(weight * t * y))
    (narrow, wide) = ((1 / (knowledge + ppm**-2), heard / (knowledge + ppm**-2)) for ppm in (PRIOR_SKEW_PPM, WIDE_PPM))
    start, stop = spans[pairing.source]
    at = float(np.average([m.t_ns for m in pairing.matches], weights=weight))
    reach_s = 1e-9 * max(at - start, stop - at)
    return 1e3 * reach_s * float(np.sqrt(wide[0] - narrow[0] + (wide[1] - narrow[1]) ** 2))


def _covered(pairing: Pairing, found: ClockMap, spans: dict[str, tuple[int, int]]) -> tuple[list[float], str, str]:
    """Between which of the other's times both recorded, s; and two sentences, empty where nothing is to be minded.

    The first is of a long stretch in which both recorded and nothing tells whether the map holds; the second of one in
    which the reference did not record, so that the map is carried on, which is right unless samples were lost there.
    """
    start, stop = spans[pairing.source]
    both = [int(t) for t in found.inverse(np.array(spans[pairing.target]))]
    common = [max(start, both[0]), min(stop, both[1])]
    limit_ns = max(1e9 * FAR_S, FAR_SHARE * (common[1] - common[0]))
    told = [m.t_ns for m in pairing.matches]
    dumb = {"before": (min(told) - common[0], min(told)), "after": (common[1] - max(told), max(told))}
    alone = {"before": (common[0] - start, common[0]), "after": (stop - common[1], common[1])}

    def sentence(what: str, sides: dict[str, tuple[int, int]], limit_ns: float) -> str:
        where = max(sides, key=lambda side: sides[side][0])
        far_ns, at_ns = sides[where]
        if far_ns < limit_ns:
            return ""
        return f"{what} {where} {1e-9 * at_ns:.0f} s of {pairing.source}, so a loss there does not show"

    unproved = (
        sentence("nothing was heard in common", dumb, limit_ns + 1e9 * REACH_S) if pairing.verdict == "ok" else ""
    )
    return (
        [round(1e-9 * t, 3) for t in common],
        unproved,
        sentence(f"{pairing.target} did not record", alone, limit_ns),
    )


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
