"""What changed in the room: a light, the dampness and the warmth of the air, as labels without a length.

A step is a difference between what was before a moment and what is after it, each the median over some time, so that
somebody who walks past the lamp is none. Light is judged by ratio, because an eye and a lamp are: a cloud takes a
third, a person in the way of a lamp half, a switch in the evening nearly all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ingest.labels.label import SECOND_NS, Label, in_order

TIER = "environment"
LIGHT_RATIO, LIGHT_SPAN_NS = 2.0, 4 * SECOND_NS
DARK_LUX = 1.0
"""Added before taking a ratio, so that darkness has one."""
HUMIDITY_STEP, TEMPERATURE_STEP_K, AIR_SPAN_NS = 2.0, 0.5, 20 * SECOND_NS


def light_events(t_ns: np.ndarray, lux: np.ndarray) -> list[Label]:
    """``light on`` where the light at least doubles within some seconds, ``light off`` where it halves.

    Args:
        t_ns: (N,) int64, ascending.
        lux: (N,) illuminance; NaN where not read.

    Returns:
        labels of tier `environment`, on the clock of `t_ns`.
    """
    found = steps(t_ns, np.log(np.maximum(lux, 0) + DARK_LUX), LIGHT_SPAN_NS, float(np.log(LIGHT_RATIO)))
    return _labels(found, lambda up: "light on" if up else "light off")


def air_events(t_ns: np.ndarray, humidity: np.ndarray, temperature: np.ndarray) -> list[Label]:
    """Steps of the relative humidity by 2 % and of the temperature by half a kelvin, within 20 s.

    Args:
        t_ns: (N,) int64, ascending. humidity: (N,) per cent. temperature: (N,) degrees C; NaN where not read.

    Returns:
        labels ``humidity up``, ``humidity down``, ``temperature up``, ``temperature down`` of tier `environment`.
    """
    damp = steps(t_ns, humidity, AIR_SPAN_NS, HUMIDITY_STEP)
    warm = steps(t_ns, temperature, AIR_SPAN_NS, TEMPERATURE_STEP_K)
    return in_order(
        [
            *_labels(damp, lambda up: f"humidity {'up' if up else 'down'}"),
            *_labels(warm, lambda up: f"temperature {'up' if up else 'down'}"),
        ]
    )


def steps(t_ns: np.ndarray, x: np.ndarray, span_ns: int, least: float) -> list[tuple[int, float]]:
    """Where a value changes and stays changed.

    Args:
        t_ns: (N,) int64, ascending. x: (N,), NaN where not read.
        span_ns: how long before and after a moment is looked at; both must be within the samples.
        least: the smallest difference of the two medians that counts.

    Returns:
        (time, difference of the medians) by time, no two nearer than `span_ns`; the time is that of the first sample
        after the step.
    """
    read = np.isfinite(x)
    t, x = t_ns[read], x[read]
    begin, end = np.searchsorted(t, t - span_ns), np.searchsorted(t, t + span_ns)
    whole = np.flatnonzero((t - span_ns >= t[:1]) & (t + span_ns <= t[-1:]) & (begin < np.arange(len(t))))
    total = np.concatenate([[0.0], np.cumsum(x)])
    mean = np.zeros(len(t))  # sharp at the step, but moved by a single value far off: it says where, not whether
    mean[whole] = (total[end] - total[np.arange(len(t))])[whole] / (end - np.arange(len(t)))[whole]
    mean[whole] -= (total[np.arange(len(t))] - total[begin])[whole] / (np.arange(len(t)) - begin)[whole]
    found: list[tuple[int, float]] = []
    for i in np.argsort(-np.abs(mean), kind="stable"):
        if abs(mean[i]) < least / 2:
            break
        if any(abs(int(t[i]) - taken) < span_ns for taken, _ in found):
            continue
        change = float(np.median(x[i : end[i]]) - np.median(x[begin[i] : i]))
        if abs(change) >= least:
            found.append((int(t[i]), change))
    return sorted(found)


def _labels(found: list[tuple[int, float]], name: Callable[[bool], str]) -> list[Label]:
    return [Label(TIER, t, t, name(change > 0)) for t, change in found]
