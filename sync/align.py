"""Which method for which pair, and all of it on one clock.

Tones are asked first: they are the same instant for every microphone. The sound in between is compared for every
device with the reference, and for devices that one person wears, whose microphones share almost the same path. A
recording that lost samples gets a map of several pieces. What contradicts the rest by more than its sigma allows is
named and excluded; where nothing says which of two is wrong, the device is refused by name, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder.session import Device, Session
from sync import correlate, tones
from sync.alignment import MAX_SKEW_PPM, Alignment, Method, Pairing, Recording, Refusal
from sync.fuse import Fused, breaks, fuse, shared_ns
from sync.waveform import recorded

METHODS: dict[str, Method] = {"tones": tones.match, "audio": correlate.match}
CONTRADICTION = 6.0
PATH_SIGMAS = 4.0
"""A step smaller than this many standard deviations of the sound's path may be another source that spoke up."""


def align(session: Session, reference: str | None = None, done: Callable[[float], None] = lambda _: None) -> Alignment:
    """Put every clock of a session on the clock of one device.

    Args:
        session: the recordings. Only the manifest and the media are read, never the truth of a simulation.
        reference: name of a device; by default the first kit, or the first device where there is none.
        done: told 1 for every pair that was compared.

    Raises:
        EvidenceError: nothing could be aligned.
        SessionError: no such device, or nothing to align.
    """
    anchor = _reference(session, reference)
    recordings, refused = _recordings(session)
    if anchor.clock not in recordings:
        reason = next((r.reason for r in refused if r.name == anchor.clock), "it recorded no sound")
        raise EvidenceError(f"{anchor.name} cannot be the reference: {reason}; choose another with --reference")
    pairings: list[Pairing] = []
    silences: list[tuple[str, str, str]] = []
    for source, target in pairs(session, anchor.name):
        for method in METHODS.values() if {source, target} <= set(recordings) else ():
            try:
                pairings.append(method(recordings[source], recordings[target]))
            except EvidenceError as error:
                silences.append((source, target, str(error)))
        done(1.0)
    usable, warnings = _usable(pairings, anchor.clock)
    fused = fuse(usable, {c: _span(r) for c, r in recordings.items()}, anchor.clock)
    aligned = {m.source for m in fused.maps}
    for clock in recordings:
        if clock not in aligned | {anchor.clock}:
            refused.append(Refusal(clock, _why(clock, silences, warnings)))
    if not fused.maps:
        why = "; ".join(f"{r.name}: {r.reason}" for r in refused) or "it holds one clock alone"
        raise EvidenceError(f"{session.root} cannot be aligned: {why}")
    warnings += [f"{r.name} was not aligned: {r.reason}" for r in refused]
    warnings += _contradictions(usable, fused)
    return Alignment(anchor.clock, fused.maps, tuple(usable), fused.residual_ns, tuple(refused), tuple(warnings))


def _reference(session: Session, name: str | None) -> Device:
    if not session.devices:
        raise SessionError(f"{session.root} has no devices; record one, or add one with `syncctl add`")
    if name:
        return session.device(name)
    return next((d for d in session.devices if d.kind == "kit"), session.devices[0])


def _recordings(session: Session) -> tuple[dict[str, Recording], list[Refusal]]:
    """The first device with sound of every clock, and the clocks that have none."""
    found: dict[str, Recording] = {}
    mute: dict[str, str] = {}
    for device in session.devices:
        if device.clock in found:
            continue
        try:
            sound = recorded(session, device)
        except SessionError as error:
            mute.setdefault(device.clock, str(error))
            continue
        found[device.clock] = Recording(device.clock, sound, device.wearer, device.tone_distance_m)
    return found, [Refusal(c, why) for c, why in mute.items() if c not in found]


def pairs(session: Session, reference: str | None = None) -> list[tuple[str, str]]:
    """The clocks to compare: every one with the reference's, and those that one person wears with each other.

    Raises:
        SessionError: no such device, or a session without any.
    """
    anchor = _reference(session, reference)
    worn = {d.clock: d.wearer for d in reversed(session.devices) if d.of_kind("audio")}
    clocks = sorted(set(worn) - {anchor.clock})
    together = [(a, b) for a, b in combinations(clocks, 2) if worn[a] and worn[a] == worn[b]]
    return [(c, anchor.clock) for c in clocks] + together


def _span(recording: Recording) -> tuple[int, int]:
    sound = recording.heard()
    return sound.t0_ns, sound.t0_ns + round(1e9 * sound.duration_s)


def _usable(pairings: Sequence[Pairing], reference: str) -> tuple[list[Pairing], list[str]]:
    """What the fusion may use, and a sentence for everything else.

    Averaging what contradicts itself would be silently wrong. Where the rest of the evidence says which pairing is the
    wrong one, that one is excluded; where nothing says so, all evidence of the pair is left out.
    """
    steps = breaks([p for p in pairings if _step_ns(p) > PATH_SIGMAS * shared_ns(p.matches[0])], reference)
    clean: list[Pairing] = []
    warnings = []
    for p in pairings:
        doubt = _doubt(p, steps)
        if doubt or p.breaks_ns:
            warnings.append(f"{p.source} and {p.target}: {doubt or p.reason}")
        clean += [] if doubt else [p]
    contradicted = _contradicted(clean, reference)
    suspects = [k for k in contradicted if not _contradicted(clean[:k] + clean[k + 1 :], reference)]
    if len(suspects) == 1:
        wrong = clean.pop(suspects[0])
        by = f"the other evidence contradicts it by {contradicted[suspects[0]] * 1e-6:+.1f} ms"
        warnings.append(f"{wrong.source} and {wrong.target}: their {wrong.method} is excluded, for {by}")
        return clean, warnings
    usable = list(clean)
    for p, q in combinations(clean, 2):
        sentence = _disagreement(p, q) if {p.source, p.target} == {q.source, q.target} else ""
        if sentence:
            warnings.append(f"{p.source} and {p.target}: {sentence}")
            usable = [r for r in usable if {r.source, r.target} != {p.source, p.target}]
    return usable, warnings


def _contradicted(pairings: Sequence[Pairing], reference: str) -> dict[int, float]:
    """Which of the pairings all others together contradict, and by how many ns."""
    found: dict[int, float] = {}
    spans = _evidence_spans(pairings)
    for number, p in enumerate(pairings):
        others = [q for q in pairings if q is not p]
        maps = {m.source: m for m in fuse(others, spans, reference).maps} if others else {}
        maps[reference] = ClockMap.affine(reference, reference)
        if p.source not in maps or p.target not in maps:
            continue
        miss = [maps[p.source].forward(m.t_ns) - maps[p.target].forward(m.t_ns + m.offset_ns) for m in p.matches]
        known = [piece.sigma_ns for c in (p.source, p.target) for piece in maps[c].pieces[:1]]
        own = [float(np.median([m.sigma_ns for m in p.matches])), shared_ns(p.matches[0])]
        if abs(float(np.median(miss))) > CONTRADICTION * float(np.linalg.norm(known + own)):
            found[number] = -float(np.median(miss))
    return found


def _evidence_spans(pairings: Sequence[Pairing]) -> dict[str, tuple[int, int]]:
    """First and last time of each clock that evidence speaks of."""
    times: dict[str, list[int]] = {}
    for m in (m for p in pairings for m in p.matches):
        times.setdefault(m.source, []).append(m.t_ns)
        times.setdefault(m.target, []).append(m.t_ns + m.offset_ns)
    return {clock: (min(t), max(t)) for clock, t in times.items()}


def _doubt(pairing: Pairing, steps: Mapping[str, Sequence[int]]) -> str:
    """Why a pairing cannot be used by itself; empty where it can.

    Args:
        steps: where the map of each clock to the reference steps; there a pairing may step too.
    """
    ends = {pairing.source: [m.t_ns for m in pairing.matches]}
    ends[pairing.target] = [m.t_ns + m.offset_ns for m in pairing.matches]
    inside = [t for c, times in ends.items() for t in steps.get(c, ()) if min(times) < t < max(times)]
    if _step_ns(pairing) and len(inside) < max(m.piece for m in pairing.matches):
        return pairing.reason
    if not inside and abs(_skew_ppm(pairing)) > 2 * MAX_SKEW_PPM:
        return f"by their {pairing.method} they drift by {_skew_ppm(pairing):.0f} ppm, which no clock does"
    return ""


def _step_ns(pairing: Pairing) -> float:
    """The largest difference between the offsets of its stretches; 0 where it has one."""
    count = 1 + max(m.piece for m in pairing.matches)
    levels = [
        np.median([m.offset_ns - pairing.matches[0].offset_ns for m in pairing.matches if m.piece == k])
        for k in range(count)
    ]
    return float(np.ptp(levels))


def _disagreement(p: Pairing, q: Pairing) -> str:
    """A sentence where two methods contradict each other beyond what both of them doubt; else empty."""
    a, b = min(((m, n) for m in p.matches for n in q.matches), key=lambda mn: abs(mn[0].t_ns - mn[1].t_ns))
    difference = a.offset_ns - b.offset_ns
    sigma = float(np.linalg.norm([shared_ns(a), shared_ns(b), a.sigma_ns, b.sigma_ns]))
    if abs(difference) <= CONTRADICTION * sigma:
        return ""
    by = f"{difference * 1e-6:+.1f} ms ({abs(difference) / sigma:.0f} sigma)"
    return f"their {p.method} and their {q.method} disagree by {by}"


def _skew_ppm(pairing: Pairing) -> float:
    first, last = pairing.matches[0], pairing.matches[-1]
    return 1e6 * (last.offset_ns - first.offset_ns) / max(last.t_ns - first.t_ns, 20_000_000_000)


def _why(clock: str, silences: Sequence[tuple[str, str, str]], warnings: Sequence[str]) -> str:
    own = [reason for a, b, reason in silences if clock in (a, b)]
    own += [w for w in warnings if clock in w]
    return "; ".join(dict.fromkeys(own)) or "no evidence connects it to the reference"


def _contradictions(pairings: Sequence[Pairing], fused: Fused) -> list[str]:
    """What the fusion could not reconcile, by name."""
    found = []
    for p, left in zip(pairings, fused.residual_ns, strict=True):
        middle, own = np.median(np.abs(left)), np.median([m.sigma_ns for m in p.matches])
        if middle > CONTRADICTION * own:
            found.append(f"{p.method} of {p.source} and {p.target} misses the rest by {middle * 1e-6:.1f} ms")
    return found


def truth_curves_ms(alignment: Alignment, truth: dict[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For a simulated session, how wrong each map is.

    Args:
        truth: the document of `truth.json`; its ``clock_maps`` lead from each clock to ``world``.

    Returns:
        clock -> (101,) float64 seconds since its recording began, and the error of its map there in ms.
    """
    worlds = {m["source"]: ClockMap.from_json(m) for m in truth["clock_maps"]}
    curves = {}
    for found in alignment.maps:
        if found.source in worlds and alignment.reference in worlds:
            first, last = found.pieces[0].start_ns, found.pieces[-1].stop_ns
            t_ns = first + np.linspace(0, last - first, 101).astype(np.int64)
            true_ns = worlds[alignment.reference].inverse(worlds[found.source].forward(t_ns))
            curves[found.source] = ((t_ns - first) * 1e-9, (found.forward(t_ns) - true_ns) * 1e-6)
    return curves


def truth_errors_ms(alignment: Alignment, truth: dict[str, Any]) -> dict[str, float]:
    """Clock -> largest absolute error of its map over its recording, ms."""
    curves = truth_curves_ms(alignment, truth)
    return {clock: round(float(np.max(np.abs(error))), 6) for clock, (_, error) in curves.items()}
