"""False evidence is named and has no effect; where nothing says which is false, nothing of it is used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_graph import HOME, KINDS, REFERENCE, Home, false, home, ratios

from sync.alignment import Pairing
from sync.contradiction import judge
from sync.fuse import Fused, fuse
from sync.graph import blocks


def judged(world: Home, evidence: list[Pairing]) -> tuple[Fused, list[tuple[str, str, str]]]:
    found = judge(evidence, REFERENCE)
    return fuse(found.kept, world.spans(), REFERENCE), [(p.method, p.source, p.target) for p, _ in found.excluded]


def test_honest_evidence_is_kept_whole():
    strain = []
    for seed in range(12):
        found = judge(home(seed).evidence(), REFERENCE)
        assert found.excluded == ()
        strain += found.strain
    assert max(strain) < 4.5
    assert 0.1 < np.mean(np.array(strain) > 1) < 0.45


@pytest.mark.parametrize("kind", KINDS)
def test_a_false_match_of_any_kind_is_named_and_has_no_effect(kind):
    for seed in range(4):
        world = home(100 + seed)
        evidence = world.evidence()
        wrong = next(k for k, p in enumerate(evidence) if p.method == kind and p.source != "kit-03")
        truth, _ = judged(world, evidence[:wrong] + evidence[wrong + 1 :])
        by_ns = int(world.rng.choice([-1, 1])) * 300_000_000
        evidence[wrong] = false(evidence[wrong], by_ns)
        found = judge(evidence, REFERENCE)
        ((out, why),) = found.excluded
        assert out is evidence[wrong]
        assert f"their {kind} is excluded, for the other evidence contradicts it by {'+-'[by_ns < 0]}" in why
        assert fuse(found.kept, world.spans(), REFERENCE).maps == truth.maps


def test_two_false_ones_on_different_clocks_are_both_named():
    world = home(5)
    evidence = [*world.evidence(), world.audio("kit-03", "head"), world.tones("kit-03", "head")]
    a = next(k for k, p in enumerate(evidence) if (p.method, p.source) == ("audio", "kit-03"))
    b = next(k for k, p in enumerate(evidence) if (p.method, p.source, p.target) == ("tones", "head", REFERENCE))
    evidence[a], evidence[b] = false(evidence[a], 2 * 10**8), false(evidence[b], -(10**8))
    fused, out = judged(world, evidence)
    assert out == [("audio", "kit-03", REFERENCE), ("tones", "head", REFERENCE)][:: 1 if a < b else -1]
    assert max(ratios(world, fused).values()) < 3


def test_three_that_all_differ_are_not_decided():
    """Two false ones and a true one: whichever is believed, the other two are false."""
    world = home(6, ("kit-01", "kit-03"))
    evidence = [f("kit-03", REFERENCE) for f in (world.tones, world.audio, world.network)]
    evidence[1], evidence[2] = false(evidence[1], 10**9), false(evidence[2], -(10**9))
    fused, out = judged(world, evidence)
    assert len(out) == 3
    assert fused.maps == ()


@pytest.mark.parametrize("apart_ms", [30, 50])
def test_two_false_ones_that_come_near_each_other_do_not_outvote_a_true_one(apart_ms):
    """Sound and network that miss by the same fifth of a second, but for more than they doubt: tones may be right."""
    world = home(11, ("kit-01", "kit-03"))
    evidence = [f("kit-03", REFERENCE) for f in (world.tones, world.audio, world.network)]
    evidence[1], evidence[2] = false(evidence[1], 2 * 10**8), false(evidence[2], 2 * 10**8 + apart_ms * 10**6)
    fused, out = judged(world, evidence)
    assert (len(out), fused.maps) == (3, ())


def test_two_false_ones_that_differ_never_win():
    """Wherever they are: they are named, or what they touch is refused; no map is wrong."""
    for seed in range(10):
        world = home(200 + seed)
        evidence = world.evidence()
        for k in world.rng.choice(len(evidence), 2, replace=False):
            evidence[k] = false(evidence[k], int(world.rng.choice([-1, 1]) * world.rng.uniform(5e7, 5e9)))
        fused, _ = judged(world, evidence)
        assert max(ratios(world, fused).values(), default=0) < 3.5


def test_one_method_that_is_false_at_one_clock_is_left_out_and_another_decides():
    """A head camera that hears tones late, by every other microphone; its sound and the network say so."""
    world = home(7)
    evidence = [*world.evidence(), world.network("head", REFERENCE)]
    late = {k for k, p in enumerate(evidence) if p.method == "tones" and "head" in (p.source, p.target)}
    evidence = [false(p, (-1 if p.source == "head" else 1) * 10**8) if k in late else p for k, p in enumerate(evidence)]
    fused, out = judged(world, evidence)
    assert len(late) > 2
    assert {("tones", evidence[k].source, evidence[k].target) for k in late} == set(out)
    assert max(ratios(world, fused).values()) < 3


def test_a_loop_of_three_that_does_not_close_refuses_all_of_it_and_nothing_else():
    world = home(8, ("kit-01", "kit-02", "kit-03", "head"))
    evidence = [world.tones("kit-02", REFERENCE), world.tones("head", REFERENCE), world.tones("kit-02", "head")]
    evidence.append(world.audio("kit-03", REFERENCE))
    evidence[2] = false(evidence[2], 10**8)
    fused, out = judged(world, evidence)
    assert len(out) == 3
    assert [m.source for m in fused.maps] == ["kit-03"]


def test_what_the_user_said_is_never_the_suspect():
    world = home(9, ("kit-01", "kit-03"))
    said = world.pairing("prior", "kit-03", REFERENCE, np.array([0.0]), 5e8, ())
    wrong = [false(f("kit-03", REFERENCE), 8 * 10**9) for f in (world.tones, world.audio)]
    _, out = judged(world, [*wrong, said])
    assert {method for method, _, _ in out} == {"tones", "audio"}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), drop=st.sets(st.integers(0, 30), max_size=12), order=st.randoms())
def test_any_part_of_the_evidence_gives_true_maps_in_any_order(seed, drop, order):
    """Random graphs: whatever is left, maps are within what their sigma allows, and the order changes nothing."""
    world = home(seed)
    evidence = [p for k, p in enumerate(world.evidence()) if k not in drop]
    found = judge(evidence, REFERENCE)
    assert found.excluded == ()
    fused = fuse(found.kept, world.spans(), REFERENCE)
    assert max(ratios(world, fused).values(), default=0) < 4.5
    shuffled = list(evidence)
    order.shuffle(shuffled)
    again = judge(shuffled, REFERENCE)
    assert fuse(again.kept, world.spans(), REFERENCE).maps == fused.maps
    assert {id(p): s for p, s in zip(again.kept, again.strain, strict=True)} == {
        id(p): s for p, s in zip(found.kept, found.strain, strict=True)
    }


def test_blocks_are_the_loops_of_the_graph():
    edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "d"), ("x", "y")]
    assert blocks(edges) == [[0, 1, 2], [3], [4, 5], [6]]


def test_evidence_without_loops_and_none_at_all_are_kept():
    world = home(10)
    one = [world.tones("head", REFERENCE)]
    assert judge(one, REFERENCE).kept == tuple(one)
    assert judge([], REFERENCE).kept == ()
    assert judge([world.turning("imu", "eye")], REFERENCE).kept != ()


@pytest.mark.parametrize("kind", KINDS)
def test_without_any_one_kind_the_rest_still_holds_every_clock_within_its_sigma(kind):
    worst = []
    for seed in range(10, 16):
        world = home(seed)
        fused, out = judged(world, world.evidence(without=kind))
        assert (out, {m.source for m in fused.maps}) == ([], set(HOME) - {REFERENCE})
        worst += ratios(world, fused).values()
    assert max(worst) < 3
    assert np.median(worst) > 0.2


def test_a_kit_that_was_restarted_gets_two_pieces():
    """Off for eight seconds after half a minute, as two microphones and all tones say."""
    world = home(12)
    at = world.worlds["kit-03"].inverse(30 * 10**9)
    world.restarted["kit-03"] = (at, 8 * 10**9)
    evidence = [p for p in world.evidence() if (p.method, p.source) != ("network", "kit-03")]
    evidence.append(world.audio("kit-03", "head"))
    fused, out = judged(world, evidence)
    assert out == []
    pieces = {m.source: m.pieces for m in fused.maps}
    assert {c: len(p) for c, p in pieces.items() if len(p) > 1} == {"kit-03": 2}
    assert abs(pieces["kit-03"][1].start_ns - at) < 2e9
    assert max(ratios(world, fused).values()) < 3
