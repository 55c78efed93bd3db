"""The first and the last seconds of what two recordings share, asked alone.

Samples that were lost three seconds before the end leave one window beyond the loss, and no line goes through one
window. So short windows of an end are *summed* along the line, over several spans: where another lag than the line's
stands out of the sums of two spans, and the line's does not, the recorder lost samples there. How much may be more
than the windows can reach; then the onsets of that span name where to listen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sync import onsets, phat
from sync.onsets import Line, Picture
from sync.phat import Windows
from sync.waveform import Wave

LENGTH, HOP_S = 2**14, 0.5
SPANS_S = (12.0, 8.0, 6.0, 4.0, 3.0, 2.0)
MAX_SHARE = 0.4
"""Of the common time, a span is at most this, so that the line is another's doing."""
FLOOR, CEILING, WIDTH_S = 1.5, 6.0, 0.0003
"""As in `sync.stack`: what counts of a window's correlation, in standard deviations, and how exactly it must agree."""
REACH_NS = 1e9 * phat.REACH_S
MIN_STANDING, OVER_LINE = 7.0, 1.6
"""Standard deviations of all lags' sums that one must have, and over what stands on the line."""
MIN_ONSETS, ONSETS_NS, CONFIRMED = 8.0, 10e6, 5.0
"""Where the onsets are so sure of another place, and twice as sure as of the line, a sum that near to it is enough."""
AGREES_NS = 4e6
ROWS = 4


def asked(
    a: Wave, b: Wave, pictures: tuple[Picture, Picture], heard: Windows, lines: tuple[Line, Line], near_ns: float
) -> Windows:
    """The same windows; where an end lies elsewhere, those in it are replaced by some that say where.

    Args:
        lines: what holds at the beginning, and at the end.
        near_ns: another lag is one further from the line than this.
    """
    start, stop = phat.common_ns(a, b, lines[0])[0], phat.common_ns(a, b, lines[1])[1]
    for line, at, inward in ((lines[0], start, 1.0), (lines[1], stop, -1.0)):
        edge = Edge(a, b, pictures, line, at, inward, near_ns)
        found = edge.elsewhere([s for s in SPANS_S if 1e9 * s < MAX_SHARE * (stop - start)])
        if found is not None:
            span_s, shift_ns = found
            low, high = edge.ends(span_s)
            inside = (heard.u_ns > low) & (heard.u_ns < high)
            heard = heard.without(inside).joined(_rows(line.shifted(shift_ns), low, high, heard.length))
    return heard


@dataclass(frozen=True)
class Edge:
    """One end of what two recordings share: the source time `at` on `line`, and +1 where the sound lies after it."""

    a: Wave
    b: Wave
    pictures: tuple[Picture, Picture]
    line: Line
    at: float
    inward: float
    near_ns: float

    def ends(self, span_s: float) -> tuple[float, float]:
        """First and last source time of a span, ns."""
        other = self.at + self.inward * span_s * 1e9
        return min(self.at, other), max(self.at, other)

    def elsewhere(self, spans_s: list[float]) -> tuple[float, float] | None:
        """The longest span that lies elsewhere as a shorter one does, s, and by how much, ns; None where none does."""
        told: list[tuple[float, float]] = []
        rows = self._heard(0.0, max(spans_s, default=0.0))
        for span_s in spans_s:
            total = self._sum(rows[: self._count(span_s)])
            (standing, lag_ns), (on, _) = self._peak(total, REACH_NS), self._peak(total, self.near_ns)
            if standing > max(MIN_STANDING, OVER_LINE * on):
                told.append((span_s, lag_ns))
            other = onsets.elsewhere(*self.pictures, self.line, self.ends(span_s))
            if abs(other.shift_ns) > self.near_ns and other.standing > max(MIN_ONSETS, 2 * other.stay):
                total = self._sum(self._heard(other.shift_ns, span_s))
                standing, lag_ns = self._peak(total, ONSETS_NS)
                if standing > max(CONFIRMED, on):
                    told.append((span_s, other.shift_ns + lag_ns))
        told = [t for t in told if abs(t[1]) > self.near_ns]
        agreed = (
            (span_s, shift_ns)
            for k, (span_s, shift_ns) in enumerate(told)
            if any(abs(shift_ns - other) < AGREES_NS and shorter_s < span_s for shorter_s, other in told[k + 1 :])
        )
        return next(agreed, None)

    def _count(self, span_s: float) -> int:
        return max(int((span_s - LENGTH / self.b.rate_hz) / HOP_S) + 1, 1)

    def _heard(self, shift_ns: float, span_s: float) -> np.ndarray:
        """(windows, lags) of a span along the shifted line, from the edge inward, in clipped standard deviations."""
        inward_ns = 0.5e9 * LENGTH / self.b.rate_hz + 1e9 * HOP_S * np.arange(self._count(span_s))
        u_ns = self.at + self.inward * inward_ns
        r = phat.correlations(self.a, self.b, self.line.shifted(shift_ns), u_ns, LENGTH, phat.REACH_S)
        return np.clip(r - FLOOR, 0, CEILING)

    def _sum(self, rows: np.ndarray) -> np.ndarray:
        """(lags,) the sum of windows in standard deviations."""
        total = ndimage.uniform_filter1d(rows.sum(axis=0), round(WIDTH_S * self.b.rate_hz))
        return np.asarray((total - total.mean()) / (total.std() + 1e-12))

    def _peak(self, total: np.ndarray, reach_ns: float) -> tuple[float, float]:
        """The highest of the sums this near to the line, and its lag, ns."""
        middle, reach = len(total) // 2, round(reach_ns * 1e-9 * self.b.rate_hz)
        near = total[max(middle - reach, 0) : middle + reach + 1]
        k = int(np.argmax(near))
        return float(near[k]), (k - len(near) // 2) * 1e9 / self.b.rate_hz


def _rows(line: Line, low: float, high: float, length: int) -> Windows:
    """Windows on a line that a sum of them told."""
    u_ns = np.linspace(low, high, ROWS + 2)[1:-1]
    blank = np.zeros(ROWS)
    return Windows(u_ns, blank, blank, blank, blank, length).told(line)
