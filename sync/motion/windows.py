"""The lag to a fraction of a frame, window by window, and the line through the windows.

Where the search has found about where two movements fit, one of them is predicted from the other along a line of times
shifted by a little either way. The shift at which prediction and fact correlate best is read between the steps by a
parabola. How sharp that peak is, and how much of the movement is left unexplained, say how far to believe it: the
standard error of a delay is the residual over the slope of the signal (as for any time delay, Knapp and Carter 1976).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firmware_host.clockmap import ClockMap
from sync.alignment import MAX_SKEW_PPM

STEP_NS, REACH_NS = 10e6, 300e6
MIN_FIT = 0.6
"""Correlation of a window that may speak."""
MAX_RIVAL = 0.92
"""A second peak within reach as high as this share of the first: a rhythm, which fits in several ways."""
MAX_SIGMA_NS = 25e6
CORRELATED = 3.0
"""How many residuals in a row are worth one: corners are followed over many frames."""
TOLERANCE_NS = 12e6
"""What a window may be off the line beside its own sigma: pictures that travel, a moment in which the mount slips."""
SKEW_SIGMA = 100e-6
"""Standard deviation of a clock's drift before any evidence."""
HUBER = 1.5
ROUNDS = 10
MIN_SIGMA_NS = 0.2e6
"""No window is trusted further than this, a hundredth of a frame."""


@dataclass(frozen=True)
class Windows:
    """What each window said.

    Attributes:
        t_ns: (W,) int64, middles, on the predicted signal's clock.
        shift_ns: (W,) float64, how much later than the line says; NaN where a window said nothing.
        sigma_ns: (W,) float64.
        fit: (W,) float64, correlation at the peak, in [-1, 1].
        moved: (W,) bool, whether there was movement to be seen.
        clear: (W,) bool, whether one peak stands out.
    """

    t_ns: np.ndarray
    shift_ns: np.ndarray
    sigma_ns: np.ndarray
    fit: np.ndarray
    moved: np.ndarray
    clear: np.ndarray


def windows(
    t_ns: np.ndarray,
    x: np.ndarray,
    predicted: Callable[[float], np.ndarray],
    edges: np.ndarray,
    still: float,
    reach_ns: float = REACH_NS,
) -> Windows:
    """Compare a signal with its prediction in windows, at shifts up to `reach_ns` either way.

    Args:
        t_ns: (N,) int64. x: (N, C) float64 at these times, NaN where it is not known.
        predicted: gives the (N, C) prediction for a shift in ns, NaN where it is not known.
        edges: (W + 1,) int, rows at which the windows begin and end.
        still: a prediction of this root mean square a row or less is no movement.
    """
    shifts = np.arange(-reach_ns, reach_ns + STEP_NS / 2, STEP_NS)
    fits = np.stack([_fit(x, predicted(s), edges)[0] for s in shifts], axis=1)
    _, strength, count = _fit(x, predicted(0.0), edges)
    w = np.arange(len(edges) - 1)
    k = np.clip(fits.argmax(axis=1), 1, len(shifts) - 2)
    low, top, high = fits[w, k - 1], fits[w, k], fits[w, k + 1]
    bend = np.minimum(low - 2 * top + high, -1e-12)
    between = np.clip(0.5 * (low - high) / bend, -1, 1)
    fit = np.clip(top - 0.25 * (low - high) * between, -1, 1)
    inside = (top >= low) & (top >= high) & (fit > 0)
    free = np.maximum(count * x.shape[1] / CORRELATED - 6, 1.0)
    sigma = np.sqrt((1 - fit**2) / (free * np.maximum(fit, 1e-3) * -bend)) * STEP_NS
    moved = strength > still
    rival = np.where(_peaks(fits) & (np.arange(len(shifts)) != k[:, None]), fits, -1.0).max(axis=1)
    clear = inside & moved & (fit > MIN_FIT) & (sigma < MAX_SIGMA_NS) & (rival < MAX_RIVAL * fit)
    middle = t_ns[edges[:-1]] + (t_ns[edges[1:] - 1] - t_ns[edges[:-1]]) // 2
    return Windows(middle, shifts[k] + between * STEP_NS, sigma, fit, moved, clear)


def _fit(x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correlation in each window, the prediction's root mean square there, and how many rows are known."""
    known = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    a, b = (np.where(known[:, None], v, 0.0) for v in (x, y))

    def summed(v: np.ndarray) -> np.ndarray:
        total = np.concatenate([np.zeros((1, v.shape[1])), np.cumsum(v, axis=0)])
        return np.asarray(total[edges[1:]] - total[edges[:-1]])

    count = np.maximum(summed(known[:, None].astype(float)), 1.0)
    mean_a, mean_b = summed(a) / count, summed(b) / count
    aa = np.sum(summed(a * a) - count * mean_a**2, axis=1)
    bb = np.sum(summed(b * b) - count * mean_b**2, axis=1)
    ab = np.sum(summed(a * b) - count * mean_a * mean_b, axis=1)
    enough = count[:, 0] > 0.5 * np.diff(edges)
    fit = np.where(enough, ab / np.sqrt(np.maximum(aa * bb, 1e-30)), 0.0)
    return fit, np.where(enough, np.sqrt(np.maximum(bb, 0.0) / count[:, 0]), 0.0), count[:, 0]


def _peaks(fits: np.ndarray) -> np.ndarray:
    """(W, S) bool, what is higher than its neighbours."""
    padded = np.pad(fits, ((0, 0), (1, 1)), constant_values=-2.0)
    return np.asarray((fits > padded[:, :-2]) & (fits > padded[:, 2:]))


def line_through(found: Windows, guess: ClockMap) -> tuple[ClockMap, np.ndarray, float]:
    """The line that most clear windows lie on.

    Returns:
        `guess` moved and turned onto them; (W,) bool, the windows that lie on it; and how much more than their own
        sigmas the windows scatter, 1 or more.
    """
    index = np.flatnonzero(found.clear)
    origin_ns = int(found.t_ns[index].mean()) if len(index) else guess.pieces[0].origin_ns
    u = (found.t_ns - origin_ns).astype(np.float64)
    tolerance = TOLERANCE_NS + 3 * found.sigma_ns
    on = found.clear & (_agreeing(u, found.shift_ns, tolerance, index) if len(index) else False)
    if not on.any():
        return guess, on, 1.0
    solution, weight = np.zeros(2), np.ones(int(on.sum()))
    own = np.maximum(found.sigma_ns[on], MIN_SIGMA_NS)
    basis, scatter = np.column_stack([np.ones(len(own)), u[on]]), 1.0
    for _ in range(ROUNDS):
        rows = np.vstack([basis * (weight / own)[:, None], [0.0, 1 / (SKEW_SIGMA * scatter)]])
        wanted = np.append(found.shift_ns[on] * weight / own, -guess.pieces[0].skew_ppm * 1e-6 / (SKEW_SIGMA * scatter))
        scale = 1 / np.linalg.norm(rows, axis=0)
        solution = scale * np.linalg.lstsq(rows * scale, wanted, rcond=None)[0]
        left = np.abs(found.shift_ns[on] - basis @ solution) / own
        scatter = max(1.0, 1.4826 * float(np.median(left)))
        weight = np.sqrt(np.minimum(1.0, HUBER * scatter / np.maximum(left, 1e-9)))
    moved = ClockMap.affine(
        guess.source,
        guess.target,
        origin_ns=origin_ns,
        target_ns=guess.forward(origin_ns) + round(float(solution[0])),
        skew_ppm=guess.pieces[0].skew_ppm + 1e6 * float(solution[1]),
    )
    return moved, on, scatter


def _agreeing(u: np.ndarray, shift: np.ndarray, tolerance: np.ndarray, index: np.ndarray) -> np.ndarray:
    """(W,) bool, windows near the line through two of them that most others are near."""
    best, most = np.zeros(len(u), bool), -1.0
    for i in index:
        for j in index:
            slope = (shift[j] - shift[i]) / (u[j] - u[i]) if i != j else 0.0
            if abs(slope) <= MAX_SKEW_PPM * 1e-6:
                error = np.abs(shift - shift[i] - slope * (u - u[i])) / tolerance
                score = float(np.sum((error[index] < 1) * (2 - error[index])))
                if score > most:
                    best, most = error < 1, score
    return best
