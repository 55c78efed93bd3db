"""Two movements of one rigid body on two clocks: offset, drift, and how far to believe them.

A search over all lags finds where they fit (`sync.motion.search`); with the mounting fitted there, windows of some
seconds give the lag to a fraction of a frame, and a line goes through those that agree (`sync.motion.windows`). Three
rules keep a wrong answer out: a body that stood still says nothing; a lag that fits hardly better than another one, or
than the same movement run backwards, is refused; and most windows in which there was movement must lie on the line.

What no fit can see is when a frame was taken: somewhere in its exposure. That is an error that all windows share. The
rolling shutter shows itself: rows that are read later see a growing turn larger (`sync.motion.shutter`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_host.clock import SECOND_NS
from firmware_host.clockmap import ClockMap
from firmware_host.errors import EvidenceError
from sync.alignment import Match, Pairing
from sync.motion.mounting import Prediction
from sync.motion.search import Found, Grid, gridded, search
from sync.motion.shutter import Shutter, shutter
from sync.motion.turning import Late, Movement, Turning, coarseness, mean_over
from sync.motion.windows import MIN_SIGMA_NS, REACH_NS, Windows, line_through, windows

SHORTEST_S, WINDOW_S, MAX_WINDOWS = 8.0, (2.0, 8.0), 120
WINDOWS_WANTED = 8
MIN_USED, MIN_SHARE = 3, 0.5
FINEST_STEP_NS = 33_000_000
STILL_SHARE = 0.5
"""A window in which less than this share of `Rules.still` moved is not expected to speak."""
AGAIN_NS = 120e6
"""How far the second round looks, with the mounting known better."""


@dataclass(frozen=True)
class Rules:
    """What is asked of a pair.

    Attributes:
        method: name of the method.
        still: root mean square, without what is slower than three seconds, of a movement that is none.
        max_doubt: how good the best wrong answer may be, over the best answer.
        advice: what to do where they do not fit.
        shared_ns: error that the method adds to all matches of a pair.
    """

    method: str
    still: float
    max_doubt: float
    advice: str
    shared_ns: float = 0.0


TURNING = Rules("turning", 0.02, 0.4, "turn the body in all directions, without a rhythm")
"""One degree a second: less is a tripod, or someone who sleeps."""


def match_turning(source: Turning, target: Turning) -> Pairing:
    """Compare how two sensors turned that are fixed to one body: gyroscope and camera, two gyroscopes, two cameras.

    Nothing needs to be known of how one is mounted on the other.

    Returns:
        One match a window, by time. Times of a camera are those of its middle row at the middle of its exposure.

    Raises:
        EvidenceError: one of them hardly turned, they did not turn together, or they fit in more than one way.
    """
    return compare(source, target, TURNING)


def compare(source: Movement, target: Movement, rules: Rules) -> Pairing:
    """Compare two movements of one body by some rules; see `match_turning`."""
    slow, fast = (source, target) if coarseness(source) >= coarseness(target) else (target, source)
    pair = f"{source.clock} and {target.clock}"
    if not np.isfinite(coarseness(slow)):
        raise EvidenceError(f"{slow.clock} holds no movement to compare; record for longer")
    for movement in (source, target):
        if _moved(movement, round(coarseness(slow))) < rules.still:
            raise EvidenceError(f"{movement.clock} hardly moved; {rules.advice}")
    found, line = _searched(slow, fast)
    if found.doubt > rules.max_doubt:
        raise EvidenceError(
            f"{pair} did not move together, or fit in more than one way (the best wrong answer is "
            f"{100 * found.doubt:.0f} % as good); {rules.advice}"
        )
    course = _followed(slow, fast, line, rules)
    used, moved = int(course.on.sum()), int(course.seen.moved.sum())
    if used < max(MIN_USED, MIN_SHARE * moved):
        raise EvidenceError(
            f"{pair} did not move together for long enough ({used} of {len(course.on)} windows agree, and there was "
            f"movement in {moved}); check that both are fixed to one body, and {rules.advice}"
        )
    return _pairing(source, target, found, course, rules)


@dataclass(frozen=True)
class _Course:
    """How the lag went.

    Attributes:
        slow, fast: the two movements, the coarser one first.
        seen: windows on the slow one's clock.
        there_ns: (W,) int64, the same events on the fast one's clock.
        line: through the windows that are `on`, from the slow one's clock to the fast one's.
        scatter: how much more they scatter than their sigmas say.
    """

    slow: Movement
    fast: Movement
    seen: Windows
    there_ns: np.ndarray
    line: ClockMap
    on: np.ndarray
    scatter: float


def _grid(movement: Movement, step_ns: int) -> Grid:
    first, last = (int(movement.t_ns[k]) for k in (0, -1))
    at = np.arange(first, last + 1, step_ns)
    x = mean_over(movement.t_ns, movement.x, at, max(step_ns - movement.width_ns, 0))
    return gridded(movement.clock, first, step_ns, x)


def _moved(movement: Movement, every: int) -> float:
    """Root mean square of what it moved, without what is slow; 0 where nothing is known of it."""
    if len(movement.t_ns) < 2:
        return 0.0
    grid = _grid(movement, max(FINEST_STEP_NS, every))
    return float(np.sqrt(grid.energy.sum() / max(int(grid.known.sum()), 1)))


def _searched(slow: Movement, fast: Movement) -> tuple[Found, ClockMap]:
    """The best lag, and the line from the slow one's clock to the fast one's."""
    step_ns = max(FINEST_STEP_NS, round(coarseness(slow)))
    one, other = _grid(slow, step_ns), _grid(fast, step_ns)
    if len(one.x) <= len(other.x):
        found = search(one, other)
        return found, found.guess
    found = search(other, one)
    return found, _inverse(found.guess)


def _inverse(line: ClockMap) -> ClockMap:
    piece = line.pieces[0]
    skew_ppm = -piece.skew_ppm / (1 + piece.skew_ppm * 1e-6)
    return ClockMap.affine(
        line.target, line.source, origin_ns=piece.target_ns, target_ns=piece.origin_ns, skew_ppm=skew_ppm
    )


def _followed(slow: Movement, fast: Movement, line: ClockMap, rules: Rules) -> _Course:
    """Windows over the common time, twice: the mounting is better known when the line is."""
    there_ns = line.forward(slow.t_ns)
    rows = np.flatnonzero((there_ns >= fast.t_ns[0]) & (there_ns <= fast.t_ns[-1]))
    if len(rows) < 2 or slow.t_ns[rows[-1]] - slow.t_ns[rows[0]] < SHORTEST_S * SECOND_NS:
        raise EvidenceError(
            f"{slow.clock} and {fast.clock} have less than {SHORTEST_S:.0f} s in common; record for longer"
        )
    edges = _edges(slow.t_ns, rows)
    course: _Course | None = None
    for reach_ns in (REACH_NS, AGAIN_NS):
        predicted = Prediction(slow, fast, line)
        seen = windows(slow.t_ns, slow.x, predicted, edges, STILL_SHARE * rules.still, reach_ns)
        there_ns = line.forward(seen.t_ns) + np.rint(seen.shift_ns).astype(np.int64)
        line, on, scatter = line_through(seen, line)
        course = _Course(slow, fast, seen, there_ns, line, on, scatter)
    assert course is not None
    return course


def _edges(t_ns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows at which the windows begin and end: some seconds each, without overlap."""
    first, last = int(t_ns[rows[0]]), int(t_ns[rows[-1]])
    common_s = (last - first) / SECOND_NS
    length_s = max(float(np.clip(common_s / WINDOWS_WANTED, *WINDOW_S)), common_s / MAX_WINDOWS)
    ends = np.linspace(first, last, max(round(common_s / length_s), 1) + 1)
    return np.unique(np.append(np.searchsorted(t_ns, ends[:-1]), rows[-1] + 1))


def _pairing(source: Movement, target: Movement, found: Found, course: _Course, rules: Rules) -> Pairing:
    """The windows as matches between the clocks asked for, at the middle rows of cameras."""
    slow, fast = course.slow, course.fast
    shutters = {
        slow.clock: shutter(slow, Prediction(slow, fast, course.line)),
        fast.clock: shutter(fast, Prediction(fast, slow, _inverse(course.line))),
    }
    shared = tuple(
        (name, sign * sigma_ns)
        for movement, sign in ((source, -1.0), (target, 1.0))
        for name, sigma_ns in _late(movement, shutters[movement.clock])
    )
    if rules.shared_ns:
        one, other = sorted((source.clock, target.clock))
        own_ns = rules.shared_ns if source.clock == one else -rules.shared_ns
        shared += ((f"{rules.method} of {one} and {other}", own_ns),)
    sigma_ns = course.scatter * np.maximum(course.seen.sigma_ns, MIN_SIGMA_NS)
    matches = []
    for k in np.flatnonzero(course.on):
        times = {slow.clock: int(course.seen.t_ns[k]), fast.clock: int(course.there_ns[k])}
        t_ns, there_ns = (times[c] + round(shutters[c].readout_ns / 2) for c in (source.clock, target.clock))
        fit = round(float(course.seen.fit[k]), 4)
        sigma = round(float(sigma_ns[k]), 1)
        matches.append(Match(rules.method, source.clock, target.clock, t_ns, there_ns - t_ns, sigma, fit, shared))
    evidence = _evidence(found, course)
    evidence |= {f"readout_ms of {c}": round(s.readout_ns * 1e-6, 2) for c, s in shutters.items() if s.readout_ns}
    return Pairing(rules.method, source.clock, target.clock, "ok", "", tuple(matches), evidence)


def _late(movement: Movement, found: Shutter) -> Late:
    """The errors that all times of one sensor share."""
    if not found.sigma_ns:
        return movement.late
    return (*movement.late, (f"read-out of {movement.clock}'s camera", found.sigma_ns / 2))


def _evidence(found: Found, course: _Course) -> dict[str, float]:
    t_s = course.seen.t_ns * 1e-9
    edges = np.concatenate([t_s[:1], t_s[course.on], t_s[-1:]])
    return {
        "windows_tried": len(course.on),
        "windows_used": int(course.on.sum()),
        "windows_moved": int(course.seen.moved.sum()),
        "longest_silent_s": round(float(np.diff(edges).max()), 3),
        "fit": round(float(np.median(course.seen.fit[course.on])), 4),
        "runner_up": round(found.runner_up / max(found.height, 1e-12), 4),
        "backwards": round(found.backwards / max(found.height, 1e-12), 4),
        "scatter": round(course.scatter, 3),
    }
