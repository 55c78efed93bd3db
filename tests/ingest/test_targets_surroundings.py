import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.targets.surroundings import air_events, light_events, steps

SECOND = 1_000_000_000
T = np.arange(0, 240 * SECOND, SECOND // 2)


def said(labels) -> list[tuple[str, float]]:
    return [(n.value, n.t0_ns / SECOND) for n in labels]


def test_a_switch_is_an_event_and_clouds_and_a_shadow_are_none():
    lux = 120 * np.exp(0.35 * np.sin(2 * np.pi * T / (25 * SECOND)))
    lux[(T >= 60 * SECOND) & (T < 90 * SECOND)] += 400
    lux[(T >= 200 * SECOND) & (T < 201 * SECOND)] *= 0.2  # somebody walks past the lamp
    lux += np.random.default_rng(0).normal(0, 2, len(T))
    lux[100] = np.nan
    found = light_events(T + 7, lux)
    assert said(found) == [("light on", 60 + 7e-9), ("light off", 90 + 7e-9)]
    assert {(n.tier, n.t0_ns - n.t1_ns, n.actor) for n in found} == {("environment", 0, None)}


def test_the_dark_has_a_ratio():
    lux = np.where(T < 100 * SECOND, 0.0, 30.0)
    assert said(light_events(T, lux)) == [("light on", 100.0)]
    assert said(light_events(T, np.where(T < 100 * SECOND, 0.0, 0.5))) == []


def test_steam_and_an_open_window():
    damp = 44 + 0.4 * np.sin(T / (40 * SECOND))
    damp[T >= 80 * SECOND] += 6 * np.exp(-(T[T >= 80 * SECOND] - 80 * SECOND) / (300 * SECOND))
    warm = 21.5 - 0.9 * np.clip((T - 150 * SECOND) / (4 * SECOND), 0, 1)
    random = np.random.default_rng(1)
    found = air_events(T, damp + random.normal(0, 0.1, len(T)), warm + random.normal(0, 0.02, len(T)))
    assert [n.value for n in found] == ["humidity up", "temperature down"]
    np.testing.assert_allclose([n.t0_ns / SECOND for n in found], [80, 152], atol=2)


@settings(max_examples=30)
@given(at=st.integers(60, 400), height=st.floats(1, 50), seed=st.integers(0, 99))
def test_a_step_is_found_at_the_sample_after_it_and_nothing_else_is(at, height, seed):
    x = np.where(np.arange(len(T)) < at, 0.0, height) + np.random.default_rng(seed).uniform(-0.05, 0.05, len(T))
    for sign in (1, -1):
        found = steps(T, sign * x, 20 * SECOND, 0.8)
        assert [t for t, _ in found] == [T[at]]
        assert abs(found[0][1] - sign * height) < 0.2


def test_too_little_says_nothing():
    assert steps(T[:3], np.array([0.0, 9, 9]), SECOND, 1) == []
    assert steps(T, np.full(len(T), np.nan), SECOND, 1) == []
    assert steps(T[:50], np.where(np.arange(50) < 25, 0.0, 9.0), 20 * SECOND, 1) == []  # not 20 s on either side
