"""The fusion: exact where evidence is exact, and with a sigma that is true both ways."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_host.clockmap import ClockMap
from sync.alignment import Match, Pairing
from sync.fuse import KNOTS, fuse
from sync.graph import breaks

SPAN_NS = 60_000_000_000


def paired(source: str, target: str, matches: list[Match]) -> Pairing:
    return Pairing("tones", source, target, "ok", "", tuple(matches))


def at(source: str, target: str, t_ns: int, offset_ns: float, sigma_ns: float = 1e4, **more: object) -> Match:
    return Match("tones", source, target, t_ns, round(offset_ns), sigma_ns, 0.5, **more)


@settings(max_examples=40, deadline=None)
@given(
    origin_ns=st.integers(0, 2**60),
    offset_ns=st.integers(-(2**60), 2**60),
    skew_ppm=st.floats(-200, 200),
)
def test_exact_matches_give_the_exact_map_however_far_the_clocks_are_apart(origin_ns, offset_ns, skew_ppm):
    true = ClockMap.affine("a", "b", origin_ns=origin_ns, target_ns=origin_ns + offset_ns, skew_ppm=skew_ppm)
    t = [origin_ns, origin_ns + SPAN_NS // 2, origin_ns + SPAN_NS]
    spans = {"a": (t[0], t[2]), "b": (true.forward(t[0]), true.forward(t[2]))}
    evidence = paired("a", "b", [at("a", "b", x, true.forward(x) - x, 100.0) for x in t])
    for reference, other in (("b", "a"), ("a", "b")):
        found = fuse([evidence], spans, reference).maps[0]
        there = found if other == "a" else None
        for x in t:
            answer = there.forward(x) if there else found.inverse(x)
            assert abs(answer - true.forward(x)) < 500


def test_a_loop_of_three_clocks_closes():
    spans = dict.fromkeys("abc", (0, SPAN_NS))
    evidence = [
        paired("a", "b", [at("a", "b", t, 1e9 + 300) for t in (0, SPAN_NS)]),
        paired("b", "c", [at("b", "c", t + 10**9, 2e9) for t in (0, SPAN_NS)]),
        paired("a", "c", [at("a", "c", t, 3e9) for t in (0, SPAN_NS)]),
    ]
    fused = fuse(evidence, spans, "c")
    a, b = (next(m for m in fused.maps if m.source == s) for s in "ab")
    assert a.forward(0) == pytest.approx(3_000_000_100, abs=2)
    assert b.forward(10**9) == pytest.approx(2_999_999_900, abs=2)
    assert [round(np.mean(r)) for r in fused.residual_ns] == pytest.approx([100, 100, -100], abs=2)


def test_one_false_match_among_many_has_no_effect():
    matches = [at("a", "b", k * 10**9, 5e9, 1e4) for k in range(30)]
    matches[7] = at("a", "b", 7 * 10**9, 5.4e9, 1e4)
    found = fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0]
    assert found.forward(0) == pytest.approx(5_000_000_000, abs=1e4)


def test_windows_that_share_one_error_are_not_many_measurements():
    def sigma_ns(shared: tuple[tuple[str, float], ...]) -> float:
        matches = [at("a", "b", k * 10**9, 0, 1e4, shared=shared) for k in range(0, 60, 2)]
        return fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0].pieces[0].sigma_ns

    assert sigma_ns((("path", 3e6),)) == pytest.approx(3e6, rel=0.01)
    assert sigma_ns(()) < 1e4


def test_one_match_leaves_the_drift_to_what_clocks_do():
    found = fuse([paired("a", "b", [at("a", "b", 0, 1e9)])], dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0]
    assert found.pieces[0].skew_ppm == pytest.approx(0, abs=1)
    assert found.pieces[0].sigma_ns == pytest.approx(100e-6 * SPAN_NS, rel=0.05)


@pytest.mark.parametrize(("skew_ppm", "pulled"), [(500, 0.025), (-500, 0.025), (20, 0.15)])
def test_a_clock_that_drifts_far_is_hardly_pulled_to_what_clocks_do(skew_ppm, pulled):
    """Ten seconds of evidence know the drift to 40 ppm: a prior of 100 ppm alone would take a seventh."""
    matches = [at("a", "b", t * 10**9, 1e9 + t * skew_ppm * 1e3, 3.3e5) for t in range(20, 32, 2)]
    found = fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0]
    assert found.pieces[0].skew_ppm == pytest.approx(skew_ppm, rel=pulled)


def test_sigma_is_true_for_clocks_that_drift_far():
    rng = np.random.default_rng(4)
    ratio = []
    for _ in range(100):
        wrong = rng.normal(0, 3.3e5, 6)
        matches = [
            at("a", "b", t * 10**9, 1e9 + t * 5e5 + e, 3.3e5) for t, e in zip(range(20, 32, 2), wrong, strict=True)
        ]
        fused = fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b")
        ratio.append(abs(fused.maps[0].forward(0) - 10**9) / fused.knots["a"][1][0])
    assert np.mean(np.array(ratio) < 2) > 0.9


def test_a_clock_without_evidence_gets_no_map():
    fused = fuse([paired("a", "b", [at("a", "b", 0, 0)])], dict.fromkeys("abc", (0, SPAN_NS)), "b")
    assert [m.source for m in fused.maps] == ["a"]


def test_sigma_is_true_both_ways():
    """400 drawn sessions: noisy tones, distances noted wrongly, a correlation along an unknown path."""
    rng = np.random.default_rng(0)
    ratio = []
    for _ in range(400):
        noted, path, skew = rng.normal(0, 3e5, 2), rng.normal(0, 8e6), rng.normal(0, 40)
        shared = (("da", -3e5), ("db", 3e5))
        tones = [
            at("a", "b", t, 1e9 + t * skew * 1e-6 + noted.sum() + rng.normal(0, 9e4), 9e4, shared=shared)
            for t in (5 * 10**9, 55 * 10**9)
        ]
        windows = [
            at("a", "b", t, 1e9 + t * skew * 1e-6 + path + rng.normal(0, 1e6), 1e6, shared=(("path", 8e6),))
            for t in range(0, SPAN_NS, 3 * 10**9)
        ]
        evidence = [paired("a", "b", tones), paired("a", "b", windows)]
        found = fuse(evidence, dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0]
        errors = [found.forward(t) - t - 1e9 - t * skew * 1e-6 for t in (0, SPAN_NS)]
        ratio.append(max(map(abs, errors)) / found.pieces[0].sigma_ns)
    assert np.mean(np.array(ratio) < 2) > 0.93
    assert np.median(ratio) > 1 / 2


def test_pieces_follow_the_steps():
    matches = [at("a", "b", k * 10**9, 1e9 + (k >= 40) * 2e8, 1e4, piece=int(k >= 40)) for k in range(60)]
    found = fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b").maps[0]
    assert len(found.pieces) == 2
    assert found.pieces[0].stop_ns == found.pieces[1].start_ns == pytest.approx(39.5e9)
    assert found.forward(50 * 10**9) == pytest.approx(51.2e9, abs=1e5)
    assert found.forward(10 * 10**9) == pytest.approx(11e9, abs=1e5)


def test_a_step_that_only_a_neighbour_saw_breaks_the_clock_that_lost_something():
    """Clock b lost 0.2 s; it is compared with a alone, and a with the reference."""
    steady = paired("a", "ref", [at("a", "ref", k * 10**9, 1e9, 1e4) for k in range(60)])
    stepped = [at("b", "a", k * 10**9, 5e8 + (k >= 30) * 2e8, 1e4, piece=int(k >= 30)) for k in range(60)]
    for evidence in ([steady, paired("b", "a", stepped)], [paired("b", "a", stepped), steady]):
        maps = {m.source: m for m in fuse(evidence, dict.fromkeys(("a", "b", "ref"), (0, SPAN_NS)), "ref").maps}
        assert [len(maps[c].pieces) for c in "ab"] == [1, 2]
        assert maps["b"].forward(50 * 10**9) == pytest.approx(51.7e9, abs=1e4)


def test_a_step_of_the_reference_and_of_a_shared_clock_is_one_step():
    """Clock a lost something: b, which is compared with a alone, did not."""
    stepped = [at("a", "ref", k * 10**9, 1e9 + (k >= 30) * 2e8, 1e4, piece=int(k >= 30)) for k in range(60)]
    mirrored = [at("b", "a", k * 10**9, -(k >= 30) * 2e8, 1e4, piece=int(k >= 30)) for k in range(60)]
    evidence = [paired("a", "ref", stepped), paired("b", "a", mirrored)]
    assert set(breaks(evidence, "ref")) == {"a"}
    maps = {m.source: m for m in fuse(evidence, dict.fromkeys(("a", "b", "ref"), (0, SPAN_NS)), "ref").maps}
    assert [len(maps[c].pieces) for c in "ab"] == [2, 1]
    assert maps["b"].forward(50 * 10**9) == pytest.approx(51e9, abs=1e4)


def test_a_stretch_without_a_match_breaks_nothing_else():
    matches = [at("a", "b", k * 10**9, 1e9 + (k >= 40) * 2e8, 1e4, piece=2 * int(k >= 40)) for k in range(60)]
    pairing = paired("a", "b", matches)
    assert breaks([pairing], "b") == {"a": [39_500_000_000]}
    told = replace(pairing, breaks_ns=(30 * 10**9, 39_600_000_000))
    assert breaks([told], "b") == {"a": [30 * 10**9, 39_600_000_000]}
    assert breaks([told], "a")["b"] == [31 * 10**9, 40_600_000_000]


def test_sigma_over_time_is_smallest_in_the_middle_and_never_more_than_the_pieces():
    matches = [at("a", "b", t, 0, 1e5) for t in (10 * 10**9, 50 * 10**9)]
    fused = fuse([paired("a", "b", matches)], dict.fromkeys("ab", (0, SPAN_NS)), "b")
    t_ns, sigma_ns = fused.knots["a"]
    assert (t_ns[0], t_ns[-1], len(t_ns)) == (0, SPAN_NS, KNOTS)
    assert min(sigma_ns) == sigma_ns[KNOTS // 2] == pytest.approx(1e5 / np.sqrt(2), rel=0.01)
    assert max(sigma_ns) == sigma_ns[0] == fused.maps[0].pieces[0].sigma_ns
    drift = np.sqrt(2) * 1e5 / 40 / np.hypot(1, np.sqrt(2) * 1e5 / 40 / 1e5)  # and what clocks do
    assert sigma_ns[0] == pytest.approx(np.hypot(1e5 / np.sqrt(2), 30 * drift), rel=0.01)


def test_each_clock_says_which_evidence_holds_it_and_how_well_the_rest_would():
    evidence = [
        paired("a", "ref", [at("a", "ref", t, 0, 1e5) for t in (0, SPAN_NS)]),
        paired("a", "ref", [at("a", "ref", t, 100, 1e6) for t in (0, SPAN_NS)]),
        paired("b", "a", [at("b", "a", t, 0, 1e5) for t in (0, SPAN_NS)]),
    ]
    held = fuse(evidence, dict.fromkeys(("a", "b", "ref"), (0, SPAN_NS)), "ref").without_ns
    assert set(held["a"]) == {0}  # without the ten times worse one nothing changes
    assert held["a"][0] == pytest.approx(1e6, rel=0.05)
    assert set(held["b"]) == {0, 2}
    assert held["b"][2] is None


def test_evidence_that_is_strained_is_covered_by_sigma():
    """Five of its standard deviations away from the rest: nobody knows, so sigma covers both answers."""
    evidence = [
        paired("a", "ref", [at("a", "ref", t, x, s) for t in (0, SPAN_NS)])
        for x, s in ((0, 1e4), (5e5, 1e5), (4.5e5, 1e5))
    ]
    spans = dict.fromkeys(("a", "ref"), (0, SPAN_NS))
    calm, strained = fuse(evidence, spans, "ref"), fuse(evidence, spans, "ref", strain=(7.0, 0.0, 0.0))
    assert calm.maps[0].forward(0) == strained.maps[0].forward(0)
    assert calm.maps[0].pieces[0].sigma_ns < 2e4
    assert strained.maps[0].pieces[0].sigma_ns == pytest.approx(4.7e5 / 2, rel=0.1)
