"""Which method for which pair, and all of it on one clock.

Tones are asked first: they are the same instant for every microphone. The sound in between is compared for every
device with the reference, and for devices that one person wears, whose microphones share almost the same path. What
contradicts the rest by more than its sigma allows is named in the warnings; a device without evidence is refused by
name, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder import demux
from recorder.session import Device, Session
from sync import correlate, tones
from sync.alignment import MAX_SKEW_PPM, Alignment, Method, Pairing, Recording, Refusal
from sync.fuse import Fused, fuse, shared_ns

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
    usable, warnings = _usable(pairings)
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
            sound = demux.read_sound(session, device)
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


def _usable(pairings: Sequence[Pairing]) -> tuple[list[Pairing], list[str]]:
    """What the fusion may use, and a sentence for everything else.

    One map without steps cannot hold a recording that lost samples, and where two methods contradict each other
    nothing says which is right. Averaging would be silently wrong, so all evidence of such a pair is left out.
    """
    groups: dict[tuple[str, str], list[Pairing]] = {}
    for p in pairings:
        groups.setdefault((p.source, p.target), []).append(p)
    usable: list[Pairing] = []
    warnings = []
    for (source, target), group in groups.items():
        doubts = {p.method: _doubt(p) for p in group}
        warnings += [f"{source} and {target}: {doubt}" for doubt in doubts.values() if doubt]
        if any(_step_ns(p) > PATH_SIGMAS * shared_ns(p.matches[0]) for p in group):
            continue
        clean = [p for p in group if not doubts[p.method]]
        apart = [_disagreement(p, q) for p, q in combinations(clean, 2)]
        warnings += [f"{source} and {target}: {sentence}" for sentence in apart if sentence]
        usable += [] if any(apart) else clean
    return usable, warnings


def _doubt(pairing: Pairing) -> str:
    """Why a pairing cannot be used by itself; empty where it can."""
    if _step_ns(pairing):
        return pairing.reason
    if abs(_skew_ppm(pairing)) > 2 * MAX_SKEW_PPM:
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
