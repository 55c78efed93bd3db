"""What a series says at moments that are not its own: five ways to answer, and when not to.

    before   the last sample at or before the moment        hold     its value, as of the moment asked for
    after    the first sample at or after the moment        linear   between the two samples around it
    nearest  the sample closest to the moment, the earlier of two equally close ones

A moment without a sample in reach has no answer; a value is never made up from further away.
"""

from __future__ import annotations

import numpy as np

from firmware_host.errors import ConfigError, unknown_name

POLICIES = ("before", "after", "nearest", "linear", "hold")
FOREVER_NS = 2**62


def index_at(t_ns: np.ndarray, at_ns: np.ndarray, policy: str, reach_ns: int = FOREVER_NS) -> np.ndarray:
    """Which sample answers each moment.

    Args:
        t_ns: (N,) int64 sample times, not decreasing.
        at_ns: (M,) int64 moments on the same clock.
        policy: one of `POLICIES` but ``linear``.
        reach_ns: how far a sample may be from the moment.

    Returns:
        (M,) int64 indices, -1 where no sample is in reach.

    Raises:
        ConfigError: an unknown policy.
    """
    if policy not in POLICIES or policy == "linear":
        raise ConfigError(unknown_name("policy", policy, POLICIES))
    if not len(t_ns):
        return np.full(len(at_ns), -1, np.int64)
    before = np.searchsorted(t_ns, at_ns, side="right") - 1
    after = np.searchsorted(t_ns, at_ns, side="left")
    if policy in ("before", "hold"):
        index = before
    elif policy == "after":
        index = after
    else:
        left, right = np.maximum(before, 0), np.minimum(after, len(t_ns) - 1)
        index = np.where(np.abs(at_ns - t_ns[left]) <= np.abs(t_ns[right] - at_ns), left, right)
    inside = (index >= 0) & (index < len(t_ns))
    index = np.where(inside, index, 0)
    reached = inside & (np.abs(t_ns[index] - at_ns) <= reach_ns)
    return np.where(reached, index, -1).astype(np.int64)


def values_at(
    t_ns: np.ndarray, x: np.ndarray, at_ns: np.ndarray, policy: str, reach_ns: int = FOREVER_NS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a series says at each moment.

    Args:
        t_ns: (N,) int64 sample times, not decreasing.
        x: (N, ...) values.
        at_ns: (M,) int64 moments on the same clock.
        policy: one of `POLICIES`.
        reach_ns: how far a sample may be from the moment; for ``linear``, how far apart the two around it.

    Returns:
        times (M,) int64 ns: of the sample, or for ``linear`` and ``hold`` the moment; values (M, ...), 0 where there is
        no answer, in which ``linear`` makes float32 of integers; valid (M,) bool.

    Raises:
        ConfigError: an unknown policy.
    """
    if policy == "linear":
        return _between(t_ns, x, at_ns, reach_ns)
    index = index_at(t_ns, at_ns, policy, reach_ns)
    valid = index >= 0
    out = np.zeros((len(at_ns), *x.shape[1:]), x.dtype)
    out[valid] = x[index[valid]]
    times = at_ns.astype(np.int64).copy()
    if policy != "hold":
        times[valid] = t_ns[index[valid]]
    return times, out, valid


def _between(
    t_ns: np.ndarray, x: np.ndarray, at_ns: np.ndarray, reach_ns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left, right = index_at(t_ns, at_ns, "before"), index_at(t_ns, at_ns, "after")
    valid = (left >= 0) & (right >= 0)
    valid[valid] &= t_ns[right[valid]] - t_ns[left[valid]] <= reach_ns
    left, right, wanted = left[valid], right[valid], at_ns[valid]
    span = np.maximum(t_ns[right] - t_ns[left], 1)
    share = ((wanted - t_ns[left]) / span).reshape(-1, *[1] * (x.ndim - 1))
    out = np.zeros((len(at_ns), *x.shape[1:]), x.dtype if x.dtype.kind == "f" else np.float32)
    out[valid] = x[left] + (x[right].astype(np.float64) - x[left]) * share
    return at_ns.astype(np.int64), out, valid
