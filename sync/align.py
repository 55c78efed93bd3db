"""Which method for which pair, and all of it on one clock.

Quick methods are asked of every pair they may know something of: tones, the sound in between, the wall times that kits
logged. Slow ones, which look at pictures, are asked of clocks that hang by a single thread. What samples a recording
lost gives its map several pieces. What the rest contradicts is named and left out (`sync.contradiction`); what is left
is fused (`sync.fuse`). A clock that nothing holds is refused by name, and the others go on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError, SessionError
from recorder.session import Device, Session
from sync import bursts, correlate, network, tones
from sync.alignment import MAX_SKEW_PPM, Alignment, Method, Pairing, Recording, Refusal
from sync.bursts import Sine
from sync.certainty import Certainty, Held, Silence
from sync.contradiction import PRIOR, Judged, judge
from sync.fuse import DOUBT, Fused, fuse
from sync.graph import breaks, evidence_spans, shared_ns
from sync.motion.match import match_turning
from sync.motion.mirror import Moving, alone, match_pattern
from sync.recordings import SEEN, camera_delay, comparisons, recordings
from sync.wanted import Prior, chosen, prior_pairings


def turned(source: Recording, target: Recording) -> Pairing:
    """Compare how two recordings turned by a part of the body that both are on.

    Raises:
        EvidenceError: they share none, it hardly turned, or they did not turn together.
        SessionError: a film cannot be read.
    """
    parts = sorted(set(source.turned) & set(target.turned))
    if not parts:
        raise EvidenceError(f"{source.clock} and {target.clock} were not worn on the same part of a body")
    return match_turning(source.turned[parts[0]](), target.turned[parts[0]]())


def pattern(source: Recording, target: Recording) -> Pairing:
    """Compare how a limb moved with what a camera saw move: when it moved alone, or else all along.

    Of several limbs it is the one that moved most then.

    Raises:
        EvidenceError: neither of them saw the other, there was no movement, or no lag fits it.
        SessionError: a film cannot be read.
    """
    if (SEEN in source.moved) == (SEEN in target.moved):
        raise EvidenceError(f"of {source.clock} and {target.clock} not one is a camera and the other on a limb")
    body, camera = (target, source) if SEEN in source.moved else (source, target)
    limbs, picture = _limbs(body), camera.moved[SEEN]()
    why: list[EvidenceError] = []
    for limb in (*alone(limbs), _most_moved(limbs)):
        try:
            return match_pattern(picture, limb) if camera is source else match_pattern(limb, picture)
        except EvidenceError as error:
            why.append(error)
    raise why[0]


def _limbs(body: Recording) -> list[Moving]:
    found = [read() for _, read in sorted(body.moved.items())]
    if not found:
        raise EvidenceError(f"{body.clock} has no IMU on a limb")
    return found


def _most_moved(limbs: Sequence[Moving]) -> Moving:
    return max(limbs, key=lambda m: float(np.nanmean(m.speed**2)) if np.isfinite(m.speed).any() else 0.0)


METHODS: dict[str, Method] = {
    "tones": tones.match,
    "audio": correlate.match,
    "network": network.match,
    "turning": turned,
    "pattern": pattern,
}
SLOW = ("turning", "pattern")
"""Methods that read pictures: asked of clocks that fewer than `ENOUGH` pairings hold, or where the user names them."""
ENOUGH = 2
Progress = Callable[[str, float], AbstractContextManager[Callable[[float], None]]]
PATH_SIGMAS = 4.0
"""A step smaller than this many standard deviations of the sound's path may be another source that spoke up."""


def unseen(_label: str, _total: float) -> AbstractContextManager[Callable[[float], None]]:
    """Progress that nobody watches."""
    return nullcontext(lambda _: None)


def align(
    session: Session,
    reference: str | None = None,
    *,
    only: Sequence[str] = (),
    priors: Sequence[Prior] = (),
    sine: Sine | None = None,
    progress: Progress = unseen,
) -> Alignment:
    """Put every clock of a session on the clock of one device.

    Args:
        session: the recordings. Only the manifest, media and logs are read, never the truth of a simulation.
        reference: name of a device; by default the first kit, or the first device where there is none.
        only: methods and devices to use: methods leave out other methods, devices leave out other devices.
        priors: what is known beforehand, at most one a clock.
        sine: the plain bursts that stand for our tones in this session, as kits before ours played them.
        progress: shows how far it is; as `recorder.terminal.progress`.

    Raises:
        EvidenceError: nothing could be aligned.
        SessionError: no such device, or nothing to align.
        ConfigError: `only` or `priors` ask for what cannot be.
    """
    anchor = _reference(session, reference).clock
    methods, clocks = chosen(session, only, METHODS)
    ways = METHODS | ({"tones": partial(bursts.match, sine=sine)} if sine else {})
    found, mute = recordings(session, methods)
    found = {c: r for c, r in found.items() if c in clocks | {anchor}}
    pairings = prior_pairings(session, priors, found, anchor)
    silent: list[Silence] = []
    quick = {m: way for m, way in ways.items() if m in methods and (m not in SLOW or m in only)}
    with progress("comparing", 1.0) as done:
        _compare(found, anchor, quick, pairings, silent, done)
    lonely = _lonely(judge(pairings, anchor).kept, found)
    slow = {m: ways[m] for m in SLOW if m in methods and m not in quick}
    with progress("looking at pictures", 1.0) as done:
        _compare(found, anchor, slow, pairings, silent, done, lonely)
    alignment = _fused(found, anchor, pairings, silent, mute)
    if not alignment.maps:
        lost = [f"{anchor}: {mute[anchor]} (--reference takes another)"] if anchor in mute else []
        why = "; ".join([*lost, *(f"{r.name}: {r.reason}" for r in alignment.refused)]) or "it holds one clock alone"
        raise EvidenceError(f"{session.root} cannot be aligned: {why}")
    return replace(alignment, cameras=tuple(c for d in session.devices if (c := camera_delay(d)) is not None))


def _reference(session: Session, name: str | None) -> Device:
    if not session.devices:
        raise SessionError(f"{session.root} has no devices; record one, or add one with `syncctl add`")
    if name:
        return session.device(name)
    return next((d for d in session.devices if d.kind == "kit"), session.devices[0])


def _compare(
    found: Mapping[str, Recording],
    anchor: str,
    ways: Mapping[str, Method],
    pairings: list[Pairing],
    silent: list[Silence],
    done: Callable[[float], None],
    among: Collection[str] | None = None,
) -> None:
    """Add what some methods say of the pairs they are for (with one clock of `among`), or why they say nothing."""
    tasks = [(method, *pair) for method in ways for pair in comparisons(found, anchor, method)]
    tasks = [task for task in tasks if among is None or set(among) & set(task[1:])]
    for method, source, target in tasks:
        try:
            pairings.append(ways[method](found[source], found[target]))
        except (EvidenceError, SessionError) as error:
            silent.append(Silence(method, source, target, str(error)))
        done(1 / len(tasks))


def _lonely(pairings: Sequence[Pairing], found: Mapping[str, Recording]) -> set[str]:
    """Clocks that fewer than `ENOUGH` pairings hold."""
    count = Counter(clock for p in pairings for clock in (p.source, p.target))
    return {clock for clock in found if count[clock] < ENOUGH}


def _fused(
    found: Mapping[str, Recording],
    anchor: str,
    pairings: Sequence[Pairing],
    silent: Sequence[Silence],
    mute: Mapping[str, str],
) -> Alignment:
    """Judge the evidence, fuse what is left of it, and say what is to be said."""
    usable, doubted = _usable(pairings, anchor)
    judged = judge(usable, anchor)
    spans = (
        {anchor: (0, 0)}
        | evidence_spans(judged.kept)
        | {c: r.span_ns for c, r in found.items() if r.span_ns is not None}
    )
    fused = fuse(judged.kept, spans, anchor, judged.strain)
    left_out = (*doubted, *judged.excluded)
    reasons = list(dict.fromkeys(why for _, why in left_out))
    aligned = {m.source for m in fused.maps} | {anchor}
    refused = tuple(Refusal(c, _why(c, mute, silent, left_out)) for c in sorted(set(found) - aligned))
    warnings = [f"{r.name} was not aligned: {r.reason}" for r in refused]
    warnings += [f"{c}: {why}" for c, why in mute.items() if c in aligned]
    warnings += [why for why in reasons if not any(why in r.reason for r in refused)]
    warnings += _remarks(judged, fused)
    certainty = tuple(
        Certainty(m.source, *fused.knots[m.source], tuple(Held(k, s) for k, s in fused.without_ns[m.source].items()))
        for m in fused.maps
    )
    return Alignment(
        reference=anchor,
        maps=fused.maps,
        pairings=tuple(_strained(p, strain) for p, strain in zip(judged.kept, judged.strain, strict=True)),
        residual_ns=fused.residual_ns,
        refused=refused,
        warnings=tuple(warnings),
        certainty=certainty,
        excluded=tuple(replace(p, verdict="excluded", reason=why) for p, why in left_out),
        silent=tuple(silent),
    )


def _strained(pairing: Pairing, strain: float) -> Pairing:
    """The same, with how far it lies from what all else says, in standard deviations."""
    return replace(pairing, evidence={**pairing.evidence, "strain": round(strain, 2)})


def _usable(pairings: Sequence[Pairing], reference: str) -> tuple[list[Pairing], list[tuple[Pairing, str]]]:
    """What the fusion may see, and what says of itself that it cannot be right, each with a sentence."""
    steps = breaks([p for p in pairings if _step_ns(p) > PATH_SIGMAS * shared_ns(p.matches[0])], reference)
    doubts = [_doubt(p, steps) for p in pairings]
    clean = [p for p, doubt in zip(pairings, doubts, strict=True) if not doubt]
    sentences = [
        f"{p.source} and {p.target}: their {p.method} is left out: {d}" for p, d in zip(pairings, doubts, strict=True)
    ]
    return clean, [(p, s) for p, s, d in zip(pairings, sentences, doubts, strict=True) if d]


def _doubt(pairing: Pairing, steps: Mapping[str, Sequence[int]]) -> str:
    """Why a pairing cannot be used by itself; empty where it can.

    Args:
        steps: where the map of each clock to the reference steps; there a pairing may step too.
    """
    ends = {pairing.source: [m.t_ns for m in pairing.matches]}
    ends[pairing.target] = [m.t_ns + m.offset_ns for m in pairing.matches]
    inside = [t for c, times in ends.items() for t in steps.get(c, ()) if min(times) < t < max(times)]
    if _step_ns(pairing) and len(inside) < max(m.piece for m in pairing.matches):
        return pairing.reason or f"their {pairing.method} steps where nothing else does"
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


def _skew_ppm(pairing: Pairing) -> float:
    first, last = pairing.matches[0], pairing.matches[-1]
    return 1e6 * (last.offset_ns - first.offset_ns) / max(last.t_ns - first.t_ns, 20_000_000_000)


def _why(
    clock: str, mute: Mapping[str, str], silent: Sequence[Silence], left_out: Sequence[tuple[Pairing, str]]
) -> str:
    """Why nothing holds a clock."""
    own = [mute[clock]] if clock in mute else []
    own += [s.reason for s in silent if clock in (s.source, s.target)]
    own += [why for p, why in left_out if clock in (p.source, p.target)]
    nothing = "none of the kinds of evidence that were asked for has anything of it to compare; --prior may place it"
    return "; ".join(dict.fromkeys(own)) or nothing


def _remarks(judged: Judged, fused: Fused) -> list[str]:
    """What to mind about the evidence that was used."""
    found = [f"{p.source} and {p.target}: {p.reason}" for p in judged.kept if p.breaks_ns and p.reason]
    for p, strain in zip(judged.kept, judged.strain, strict=True):
        if strain > DOUBT:
            off = f"their {p.method} lies {strain:.1f} standard deviations from all else, which their sigma now covers"
            found.append(f"{p.source} and {p.target}: {off}")
    for clock, held in fused.without_ns.items():
        if [judged.kept[k].method for k, without in held.items() if without is None] == [PRIOR]:
            found.append(f"{clock}: nothing but the prior holds it")
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
