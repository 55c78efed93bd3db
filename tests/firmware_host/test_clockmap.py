from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.clockmap import FOREVER_NS, ClockMap, Piece

DAY_NS = 24 * 3600 * 10**9
EPOCH_NS = 1_795_000_000 * 10**9

skews = st.floats(-500, 500)
spans = st.integers(-DAY_NS, DAY_NS)
origins = st.integers(-EPOCH_NS, EPOCH_NS)


def affine(origin, target, skew):
    return ClockMap.affine("a", "b", origin_ns=origin, target_ns=target, skew_ppm=skew)


@given(origins, origins, skews, spans)
def test_inverse_undoes_forward_to_a_nanosecond_within_a_day(origin, target, skew, d):
    m = affine(origin, target, skew)
    t = origin + d
    assert abs(m.inverse(m.forward(t)) - t) <= 1
    assert abs(m.forward(m.inverse(target + d)) - (target + d)) <= 1


@given(origins, origins, skews, spans, st.integers(0, 10**9))
def test_forward_is_monotone(origin, target, skew, d, step):
    m = affine(origin, target, skew)
    assert m.forward(origin + d + step) >= m.forward(origin + d)


@given(origins, origins, skews, st.lists(spans, min_size=1, max_size=20))
def test_arrays_and_integers_give_the_same_times(origin, target, skew, ds):
    m = affine(origin, target, skew)
    t = np.array([origin + d for d in ds], dtype=np.int64)
    assert m.forward(t).tolist() == [m.forward(int(x)) for x in t]
    assert m.inverse(t).tolist() == [m.inverse(int(x)) for x in t]


def test_a_positive_skew_means_the_target_runs_faster():
    assert affine(0, 0, 50.0).forward(10**9) == 10**9 + 50_000


def three_pieces():
    """A clock that is reset at 100 s and loses 2 s of samples at 200 s."""
    return ClockMap(
        "file",
        "world",
        (
            Piece(0, 10**9, 20.0, stop_ns=100 * 10**9),
            Piece(100 * 10**9, 101 * 10**9 + 5_000_000, -30.0, start_ns=100 * 10**9, stop_ns=200 * 10**9),
            Piece(200 * 10**9, 203 * 10**9, 10.0, start_ns=200 * 10**9, stop_ns=FOREVER_NS),
        ),
    )


@given(st.lists(st.integers(-(10**9), 400 * 10**9), min_size=1, max_size=50))
def test_each_piece_is_used_in_its_own_interval_and_inverts(ts):
    m = three_pieces()
    for t in ts:
        index = 0 if t < 100 * 10**9 else 1 if t < 200 * 10**9 else 2
        alone = ClockMap("file", "world", (m.pieces[index],))
        assert m.forward(t) == alone.forward(t)
        assert abs(m.inverse(m.forward(t)) - t) <= 1
    array = np.array(ts, dtype=np.int64)
    assert m.forward(array).tolist() == [m.forward(t) for t in ts]
    assert m.inverse(m.forward(array)).tolist() == [m.inverse(m.forward(t)) for t in ts]


def test_json_round_trip():
    m = three_pieces()
    assert ClockMap.from_json(m.to_json()) == m


def test_a_map_without_pieces_is_refused():
    with pytest.raises(ValueError, match="no pieces"):
        ClockMap("a", "b", ())
