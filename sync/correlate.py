"""Two recordings of the same sound: offset, drift, steps, and how far to believe them.

Coarse to fine: onsets add up along a line (`sync.onsets`), phase correlation tests that line window by window
(`sync.phat`), and a robust line goes through the windows that agree (`sync.robust`). Four rules keep a wrong answer
out. Windows are counted over those *tried*, not over those that spoke. Where a run of them is silent the onsets are
asked again, seconds wide, which is how lost samples show; the step is then placed by the waveforms. A second
line that explains the same windows nearly as well (a loop, a machine's hum) is a reason to refuse. And the onsets say
how often the same two recordings, shifted against each other at random, would have looked as good.

What no fit can see is the path: sound takes 2.9 ms a metre, and a source beside one microphone is heard late by
the other. That term is added to every offset as an error shared by all its windows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from firmware_host.errors import EvidenceError
from recorder.series import Sound
from sync import onsets, phat, rates, stack
from sync.alignment import MAX_SKEW_PPM, SPEED_OF_SOUND_M_S, Match, Pairing, Recording
from sync.confirm import COARSE_FALSE_ALARM, ENOUGH_SHARE, MAX_FALSE_ALARM, MAX_RIVAL, Comparison
from sync.onsets import Line, Search
from sync.robust import Fit, inflation
from sync.stack import Stacked
from sync.waveform import Wave, working

WORN_TOGETHER_M, ONE_ROOM_M, APART_M = 0.17, 3.0, 1.0
"""Standard deviation of the path difference between two microphones: on one body (0.5 ms), in one room that someone
walks about in (8.7 ms; what is loudest stays in its place, so it does not average out), and if nothing is known."""
MIN_TOLERANCE_NS = 2e6
TOLERANCE_SIGMAS = 4.0
MAX_COARSE_RIVAL = 0.8
COARSE_NS, COARSE_SHARED_NS = 30e6, 5e6
"""One chunk of onsets is wrong by this over its standing; reverberation and a microphone's colour move all of them."""
TOLD_NS, MIN_SPOKE = 5e6, 0.3
"""A window whose lag the onsets or a sum told is wrong by this; the share of a stretch that must speak for itself."""
SUM_SHARED_NS = 3e6
"""What the best line through a sum may be off as a whole: other lines nearby sum up nearly as high."""
MIN_COARSE_STANDING = 3.0
MAX_UNHEARD_SHARE, MIN_UNHEARD_S = 0.25, 10.0
END_SHARES, END_STANDING, LOST_NS = (0.5, 0.33, 0.2, 0.1), 4.8, 60e6
"""Ends of a recording that are asked alone whether they lie elsewhere, how surely, and by how much."""
STRANGE_NS, MIN_STRANGE, MIN_LIKE = 4e9, 5, 0.3
STRANGE, MIN_LOUD = 0.3, 0.5
"""An end of this length is strange if it is as unlike and as loud as this, against the rest, of whose likeness we are
sure."""
ONSET_STEP_NS = 15e6
"""Onsets place a step better than waveforms do, whose lags wander, unless it is too small for their frames."""
STACK_FALSE_ALARM, MIN_STACK = 3e-3, 7.6
"""A sum of windows tells the lag on a line that the onsets are sure of."""
SURE_STACK, MAX_STACK_RIVAL = 10.0, 0.75
"""It names the line itself where the onsets waver between two."""


def match(source: Recording, target: Recording) -> Pairing:
    """Compare the sounds of two recordings.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    apart_m = WORN_TOGETHER_M if source.wearer and source.wearer == target.wearer else ONE_ROOM_M
    return compare(source.heard(), target.heard(), apart_m)


def compare(source: Sound | Wave, target: Sound | Wave, apart_m: float = APART_M) -> Pairing:
    """Compare two sounds whose paths from a source differ by `apart_m` metres, one standard deviation.

    Returns:
        One match a window, by time. Their `sigma_ns` are such that the matches may be treated as independent;
        `apart_m` of sound path is the error they share. Where samples were lost the matches are of several pieces,
        and `breaks_ns` says when.

    Raises:
        EvidenceError: silence, nothing in common, or more than one way to fit them together.
    """
    if source.duration_s > target.duration_s:
        return _swapped(compare(target, source, apart_m))
    a, b = working(source), working(target)
    pictures = onsets.pictures(a, b)
    path_ns = apart_m / SPEED_OF_SOUND_M_S * 1e9
    found = onsets.search(*pictures)
    kept = [c for c in found.candidates if c.standing > 0.4 * found.candidates[0].standing]
    lines = tuple(onsets.refined(*pictures, c.line) for c in kept)
    search = Comparison(a, b, pictures, found, lines, max(MIN_TOLERANCE_NS, TOLERANCE_SIGMAS * path_ns))
    fit, rival = search.best()
    result = Pairing("audio", a.clock, b.clock, "ok", "", (), _evidence(fit, rival, found))
    sign = 1.0 if a.clock < b.clock else -1.0
    shared = ((f"sound path between {' and '.join(sorted((a.clock, b.clock)))}", sign * path_ns),)
    agrees = search.agrees(fit)
    if agrees and rival > MAX_RIVAL:
        where = f"{source.clock} and {target.clock}"
        raise EvidenceError(f"{where} fit together in more than one way, as loops and machines do; use tones")
    ratio = _ratio(search, fit) if agrees else None
    if ratio is None and not (agrees and fit.share > ENOUGH_SHARE):
        ratio = rates.ratio(*pictures)
    if ratio is not None:
        raise _rates_differ(source.clock, target.clock, ratio)
    if agrees and (found.false_alarm < MAX_FALSE_ALARM or search.beyond_doubt(fit)):
        return _fine(result, search, fit, shared)
    return _coarse(result, search, shared)


Shared = tuple[tuple[str, float], ...]


def _ratio(search: Comparison, fit: Fit) -> float | None:
    """Seconds of the target in a second of the source, where windows agree on more than clocks and paths explain."""
    span_ns = float(np.ptp(fit.windows.u_ns[fit.used]))
    unexplained_ns = (abs(fit.line.skew) - MAX_SKEW_PPM * 1e-6) * span_ns
    return 1 + fit.line.skew if unexplained_ns > search.tolerance_ns else None


def _rates_differ(name: str, other: str, ratio: float) -> EvidenceError:
    apart = abs(ratio - 1)
    return EvidenceError(
        f"{name} and {other} run {1e6 * apart:,.0f} ppm apart ({100 * apart:.1f} %), which no two clocks do: a header "
        "names a wrong sample rate; write the right one into it"
    )


def _fine(result: Pairing, search: Comparison, fit: Fit, shared: Shared) -> Pairing:
    breaks = _breaks(search, fit)
    sigma_ns = round(fit.scatter_ns * float(np.sqrt(inflation(fit.residual_ns))), 1)
    where = np.searchsorted(breaks, fit.windows.u_ns)
    matches = tuple(
        replace(
            _match(search, fit.windows.u_ns[k], fit.windows.lag_ns[k], shared),
            sigma_ns=sigma_ns if fit.windows.spoke[k] else max(sigma_ns, TOLD_NS),
            score=round(float(fit.windows.height[k]), 4),
            piece=int(fit.piece[k]),
        )
        # A window across a step speaks for the side that it heard more of, whatever its centre.
        for k in np.flatnonzero(fit.used & (where == fit.piece))
    )
    names = (result.source, result.target)  # what the source lost makes it early, so the offset grows
    lost = ", ".join(f"{abs(step) * 1e-6:.1f} ms by {names[int(step < 0)]}" for step in np.diff(fit.steps_ns))
    notes = [f"samples were lost: {lost}"] if lost else []
    lost_ns = 0.0 if notes else _lost_at_an_end(search, fit.line)
    if lost_ns:
        raise _lost(result, lost_ns)
    unheard = _unheard(search, fit) + _hardly_heard(fit) + _strange_end(search, fit)
    at = tuple(search.a.t0_ns + round(u) for u in breaks)
    verdict = "coarse" if unheard else "ok"
    return replace(result, verdict=verdict, reason="; ".join(notes + unheard), matches=matches, breaks_ns=at)


def _unheard(search: Comparison, fit: Fit) -> list[str]:
    """A sentence where an end of the common time held nothing in common: what is lost there does not show."""
    start, stop = (1e-9 * t for t in phat.common_ns(search.a, search.b, fit.line))
    used = 1e-9 * fit.windows.u_ns[fit.used]
    half = 0.5 * fit.windows.length / search.a.rate_hz
    away = {"before": used[0] - half - start, "after": stop - used[-1] - half}
    where = max(away, key=lambda k: float(away[k]))
    if away[where] < max(MAX_UNHEARD_SHARE * (stop - start), MIN_UNHEARD_S):
        return []
    at_s = 1e-9 * search.a.t0_ns + (used[0] if where == "before" else used[-1])
    return [f"nothing was heard in common {where} {at_s:.0f} s of {search.a.clock}, so a loss there does not show"]


def _hardly_heard(fit: Fit) -> list[str]:
    """A sentence where most of a stretch was told by onsets or sums, not by its windows."""
    spoke = fit.windows.spoke
    if all(np.mean(spoke[fit.piece == k]) >= MIN_SPOKE for k in range(len(fit.steps_ns))):
        return []
    return ["on one side of the loss only the onsets agree, not the waveforms"]


def _strange_end(search: Comparison, fit: Fit) -> list[str]:
    """A sentence where an end is as loud as the rest in both, and unlike, which the rest is not.

    So it is where a recorder lost samples just after the other had begun: what precedes the loss has no partner.
    """
    lines = (fit.line.shifted(float(fit.steps_ns[0])), fit.line.shifted(float(fit.steps_ns[-1])))
    start, stop = phat.common_ns(search.a, search.b, lines[0])[0], phat.common_ns(search.a, search.b, lines[1])[1]
    edges = np.linspace(start, stop, max(int((stop - start) / STRANGE_NS), 1) + 1)
    where = np.searchsorted(_breaks(search, fit), (edges[1:] + edges[:-1]) / 2)
    along = [fit.line.shifted(float(fit.steps_ns[k])) for k in where]
    like = [onsets.alike(*search.pictures, x, e) for x, e in zip(along, pairwise(edges), strict=True)]
    usual = float(np.median(like))
    if len(like) < MIN_STRANGE or usual < MIN_LIKE:
        return []
    for k, name, at in ((0, "before", 1), (-1, "after", -2)):
        ends = (edges[k], edges[k + 1]) if k == 0 else (edges[-2], edges[-1])
        if like[k] < STRANGE * usual and _loudness(search, along[k], ends) > MIN_LOUD:
            at_s = 1e-9 * (search.a.t0_ns + edges[at])
            return [f"{name} {at_s:.0f} s of {search.a.clock} each hears something else, so samples may be lost there"]
    return []


def _loudness(search: Comparison, line: Line, ends: tuple[float, float]) -> float:
    """The smaller of both recordings' level between two source times, over their level as a whole."""
    shares = []
    for sound, shift_ns in ((search.a, 0.0), (search.b, float(line.lag(ends[0])))):
        first, count = ((t * 1e-9 * sound.native_hz) for t in (ends[0] + shift_ns, ends[1] - ends[0]))
        x = sound.raw(round(first), round(count))
        shares.append(float(np.sqrt(np.mean(np.square(x)))) / sound.rms)
    return min(shares)


def _breaks(search: Comparison, fit: Fit) -> np.ndarray:
    """Where each stretch ends and the next begins: (P - 1,) float64 source ns, placed by the waveforms."""
    found: list[float] = []
    half_ns = 0.5e9 * fit.windows.length / search.a.rate_hz
    for k in range(len(fit.steps_ns) - 1):
        before = float(fit.windows.u_ns[fit.piece == k].max())
        after = float(fit.windows.u_ns[fit.piece == k + 1].min())
        lines = tuple(fit.line.shifted(float(fit.steps_ns[n])) for n in (k, k + 1))
        ends = (max(before - half_ns, *found[-1:], 0.0), after + half_ns)
        if abs(fit.steps_ns[k + 1] - fit.steps_ns[k]) > ONSET_STEP_NS:
            found.append(onsets.step_at(*search.pictures, (lines[0], lines[1]), ends))
        else:
            found.append(phat.step_at(search.a, search.b, (lines[0], lines[1]), ends))
    return np.array(found)


def _coarse(result: Pairing, search: Comparison, shared: Shared) -> Pairing:
    """What only sums say, where single windows do not agree: the windows' own sum, or else the onsets'."""
    found = search.found
    if found.false_alarm > COARSE_FALSE_ALARM:
        raise _nothing(result)
    best, rival = _stacked(search)
    sure = best is not None and best.standing > SURE_STACK and rival < MAX_STACK_RIVAL * best.standing
    others = [c.standing for c in found.candidates[1:] if _apart(c.line, found.candidates[0].line)]
    alone = max(others, default=0.0) <= MAX_COARSE_RIVAL * found.candidates[0].standing
    if not sure and not alone:
        raise _nothing(result)
    told = best is not None and (sure or not _apart(best.line, found.candidates[0].line))
    lost_ns = _lost_at_an_end(search, best.line if best is not None and told else search.lines[0][0])
    if lost_ns:
        raise _lost(result, lost_ns)
    if best is not None and told:
        return _summed(result, search, best, shared)
    return _by_onsets(result, search, shared)


def _stacked(search: Comparison) -> tuple[Stacked | None, float]:
    """The highest sum of windows, where it is no chance, and the highest along another line."""
    told = [s for line, _ in search.lines if (s := stack.stacked(search.a, search.b, line))]
    best = max(told, key=lambda s: s.standing, default=None)
    if best is None or best.standing < MIN_STACK or best.false_alarm > STACK_FALSE_ALARM:
        return None, 0.0
    return best, max((s.standing for s in told if _apart(s.line, best.line)), default=0.0)


def _lost_at_an_end(search: Comparison, line: Line) -> float:
    """By how much an end of the common time fits better elsewhere, by the onsets; 0.0 where it does not, ns."""
    start, stop = phat.common_ns(search.a, search.b, line)
    for share in END_SHARES:
        part = share * (stop - start)
        for ends in ((start, start + part), (stop - part, stop)):
            other = onsets.elsewhere(*search.pictures, line, ends)
            if other.standing > max(END_STANDING, 2.5 * other.stay) and abs(other.shift_ns) > LOST_NS:
                return other.shift_ns
    return 0.0


def _summed(result: Pairing, search: Comparison, best: Stacked, shared: Shared) -> Pairing:
    score = round(min(1.0, best.standing / 40), 4)
    shared = (*shared, (f"sum of windows, {shared[0][0]}", float(np.copysign(SUM_SHARED_NS, shared[0][1] or 1.0))))
    matches = tuple(
        replace(_match(search, u, lag, shared), sigma_ns=round(best.sigma_ns, 1), score=score)
        for u, lag in zip(best.u_ns, best.lag_ns, strict=True)
    )
    evidence = {**result.evidence, "sum_of_windows": round(best.standing, 1)}
    reason = "no window is sure by itself, only their sum"
    return replace(result, verdict="coarse", reason=reason, matches=matches, evidence=evidence)


def _by_onsets(result: Pairing, search: Comparison, shared: Shared) -> Pairing:
    chunks = search.lines[0][1]
    on = chunks.standing >= MIN_COARSE_STANDING
    if not on.any():
        raise _nothing(result)
    shared = (*shared, (f"onsets, {shared[0][0]}", float(np.copysign(COARSE_SHARED_NS, shared[0][1] or 1.0))))
    matches = tuple(
        replace(
            _match(search, u, lag, shared),
            sigma_ns=round(COARSE_NS / standing, 1),
            score=round(min(1.0, standing / 20), 4),
        )
        for u, lag, standing in zip(chunks.u_ns[on], chunks.lag_ns[on], chunks.standing[on], strict=True)
    )
    reason = "only the onsets agree, not the waveforms"
    return replace(result, verdict="coarse", reason=reason, matches=matches)


def _lost(result: Pairing, lost_ns: float) -> EvidenceError:
    return EvidenceError(
        f"an end of {result.source} sounds {abs(lost_ns) * 1e-9:.2f} s from where the rest puts it: samples were lost "
        "where too little is heard in common to say when; cut it into shorter recordings"
    )


def _nothing(result: Pairing) -> EvidenceError:
    used, tried = result.evidence["windows_used"], result.evidence["windows_tried"]
    return EvidenceError(
        f"the sounds of {result.source} and {result.target} have nothing in common that stands out ({used:.0f} "
        f"of {tried:.0f} windows agree); use start and end tones, or check that the recordings overlap"
    )


def _apart(one: Line, other: Line) -> bool:
    """Two lines that are not the same peak's flanks."""
    return abs(float(one.lag(other.at_ns)) - other.offset_ns) > 2.5 * onsets.DISTINCT_NS


def _match(search: Comparison, u_ns: float, lag_ns: float, shared: Shared) -> Match:
    a, b = search.a, search.b
    return Match(
        method="audio",
        source=a.clock,
        target=b.clock,
        t_ns=a.t0_ns + round(u_ns),
        offset_ns=b.t0_ns - a.t0_ns + round(lag_ns),
        sigma_ns=COARSE_NS,
        score=0.0,
        shared=shared,
    )


def _evidence(fit: Fit, rival: float, found: Search) -> dict[str, float]:
    u_s = fit.windows.u_ns * 1e-9
    edges = np.concatenate([u_s[:1], u_s[fit.used], u_s[-1:]])
    others = [c.standing for c in found.candidates[1:] if _apart(c.line, found.candidates[0].line)]
    return {
        "windows_tried": len(u_s),
        "windows_used": int(fit.used.sum()),
        "windows_clear": int(fit.windows.clear.sum()),
        "window_samples": fit.windows.length,
        "longest_silent_s": round(float(np.diff(edges).max()), 3),
        "runner_up": round(rival, 4),
        "onsets": round(found.candidates[0].standing, 1),
        "onsets_runner_up": round(max(others, default=0.0), 1),
        "onsets_by_chance": round(float(found.null.max()), 1),
        "false_alarm": float(f"{found.false_alarm:.1e}"),
        "scatter_ns": round(fit.scatter_ns, 1),
    }


def _swapped(pairing: Pairing) -> Pairing:
    """The same evidence read the other way."""
    matches = tuple(
        replace(
            m,
            source=m.target,
            target=m.source,
            t_ns=m.t_ns + m.offset_ns,
            offset_ns=-m.offset_ns,
            shared=tuple((name, -error) for name, error in m.shared),
        )
        for m in pairing.matches
    )
    breaks = tuple(
        t + next(m.offset_ns for m in pairing.matches if m.piece == k) for k, t in enumerate(pairing.breaks_ns)
    )
    return replace(pairing, source=pairing.target, target=pairing.source, matches=matches, breaks_ns=breaks)
