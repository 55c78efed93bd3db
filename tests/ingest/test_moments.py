import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_host.errors import ConfigError
from ingest.moments import POLICIES, index_at, values_at
from ingest.quantiles import quantiles

T = np.array([10, 20, 20, 40], np.int64)
X = np.array([[1.0], [2.0], [3.0], [5.0]], np.float32)


@pytest.mark.parametrize(
    ("policy", "times", "values", "valid"),
    [
        ("before", [5, 20, 20, 40], [0, 3, 3, 5], [0, 1, 1, 1]),
        ("after", [10, 20, 40, 55], [1, 2, 5, 0], [1, 1, 1, 0]),
        ("nearest", [10, 20, 20, 40], [1, 3, 3, 5], [1, 1, 1, 1]),
        ("hold", [5, 20, 29, 55], [0, 3, 3, 5], [0, 1, 1, 1]),
        ("linear", [5, 20, 29, 55], [0, 3, 3.9, 0], [0, 1, 1, 0]),
    ],
)
def test_what_each_policy_answers(policy, times, values, valid):
    at = np.array([5, 20, 29, 55], np.int64)
    got = values_at(T, X, at, policy)
    assert got[2].tolist() == [bool(v) for v in valid]
    assert got[1][:, 0].tolist() == pytest.approx(values)
    assert got[0].tolist() == times


@given(st.lists(st.integers(0, 200), max_size=12), st.lists(st.integers(-20, 220), max_size=8), st.integers(0, 60))
def test_no_answer_comes_from_out_of_reach_and_a_near_one_is_given(times, at, reach):
    t, at = np.sort(np.array(times, np.int64)), np.array(at, np.int64)
    for policy in set(POLICIES) - {"linear"}:
        allowed = {
            "before": lambda a: [x for x in times if x <= a],
            "after": lambda a: [x for x in times if x >= a],
        }.get(policy if policy != "hold" else "before", lambda _: times)
        for i, moment in zip(index_at(t, at, policy, reach), at.tolist(), strict=True):
            near = min((abs(x - moment) for x in allowed(moment)), default=10**6)
            assert (i >= 0) == (near <= reach)
            assert i < 0 or abs(int(t[i]) - moment) == near


def test_an_unknown_policy_is_named():
    with pytest.raises(ConfigError, match="did you mean 'nearest'"):
        values_at(T, X, T, "nearst")


@given(st.lists(st.floats(0, 180, width=32) | st.just(float("nan")), max_size=60), st.integers(1, 5))
def test_quantiles_of_parts_are_those_of_the_whole_to_the_bit(values, parts):
    x = np.array(values, np.float32)
    shares = (0.0, 1 / 3, 0.5, 2 / 3, 1.0)
    found = quantiles(lambda: np.array_split(x, parts), shares, (0.0, 180.0))
    whole = x[np.isfinite(x)].astype(np.float64)
    assert (found is None) == (not len(whole))
    if found is not None:
        np.testing.assert_array_equal(found, np.quantile(whole, shares))
