"""Wall times as evidence: within what their keeper claims, and refused where he cannot be believed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from firmware_host.errors import EvidenceError
from recorder.wall import WallReading
from sync.alignment import Recording
from sync.fuse import fuse
from sync.network import DRIVER_NS, match, readings

SECOND = 10**9
EPOCH = 1_767_225_600 * SECOND


def kit(name: str, ahead_ns: int, *, seconds: int = 120, start_s: int = 0, bound_ns: int = 3_000_000) -> Recording:
    """A kit whose clock is `ahead_ns` behind the wall, and whose wall clock is right."""
    at = range(start_s, start_s + seconds)
    wall = [WallReading(s * SECOND, s * SECOND + ahead_ns, s * SECOND, 1_000, "chrony", bound_ns, 50_000) for s in at]
    return Recording(name, None, wall=tuple(wall))


def test_errors_are_as_large_as_sigma_says():
    """100 pairs of kits whose wall clocks are off within their bounds, and wander."""
    rng = np.random.default_rng(0)
    ratio = []
    for _ in range(100):
        sides = []
        for name in ("a", "b"):
            fixed = rng.normal(0, 1e6)
            side = kit(name, EPOCH, seconds=300)
            wander = 5e4 * np.convolve(rng.standard_normal(420), np.ones(60) / np.sqrt(60), "valid")[:300]
            moved = [
                replace(r, realtime_ns=r.realtime_ns + round(fixed + w)) for r, w in zip(side.wall, wander, strict=True)
            ]
            sides.append(replace(side, wall=tuple(moved)))
        spans = {s.clock: (0, 300 * SECOND) for s in sides}
        found = fuse([match(*sides)], spans, "b").maps[0]
        ratio.append(max(abs(found.forward(t) - t) for t in (0, 300 * SECOND)) / found.pieces[0].sigma_ns)
    assert np.mean(np.array(ratio) < 2) > 0.93
    assert np.median(ratio) > 1 / 3


def test_the_offset_is_what_to_add_to_the_source():
    pairing = match(kit("a", EPOCH), kit("b", EPOCH - 7 * SECOND, start_s=7))
    assert {m.offset_ns for m in pairing.matches} == {7 * SECOND}
    assert pairing.matches[-1].t_ns - pairing.matches[0].t_ns == 119 * SECOND
    assert pairing.score == 1.0


def test_a_kit_that_is_known_by_its_sound_is_as_sure_as_its_driver():
    a, b = kit("a", EPOCH), kit("b", EPOCH)
    heard = replace(a, sound=object())
    names = {name for name, _ in match(a, b).matches[0].shared}
    assert names == {"wall clock of a", "wall clock of b"}
    assert dict(match(heard, b).matches[0].shared)["sound of a against its clock"] == DRIVER_NS


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (lambda k: replace(k, wall=()), "a logged no wall times"),
        (lambda k: replace(k, wall=tuple(replace(r, keeper=None) for r in k.wall)), "was kept by nobody"),
        (lambda k: replace(k, wall=tuple(replace(r, max_error_ns=SECOND) for r in k.wall)), "0.3 s"),
        (
            lambda k: replace(
                k, wall=(*k.wall[:50], *(replace(r, realtime_ns=r.realtime_ns + SECOND // 10) for r in k.wall[50:]))
            ),
            r"set by \+0.100 s",
        ),
        (lambda k: replace(k, wall=tuple(replace(r, realtime_ns=r.realtime_ns + EPOCH) for r in k.wall)), "same time"),
    ],
    ids=["no log", "not kept", "no better than a watch", "set while recording", "another day"],
)
def test_a_wall_clock_that_cannot_be_believed_is_a_sentence(spoilt, said):
    a, b = kit("a", EPOCH), kit("b", EPOCH)
    for pair in ((spoilt(a), b), (b, spoilt(a))):
        with pytest.raises(EvidenceError, match=said):
            match(*pair)


def test_only_the_seconds_in_which_it_was_kept_count():
    a, b = kit("a", EPOCH), kit("b", EPOCH)
    early = tuple(replace(r, keeper=None, realtime_ns=r.realtime_ns - 3 * SECOND) for r in a.wall[:60])
    late = replace(a, wall=early + a.wall[60:])
    pairing = match(late, b)
    assert pairing.matches[0].t_ns == 60 * SECOND
    assert pairing.score == 0.5


def test_what_is_damaged_in_a_log_is_left_out(tmp_path):
    whole = {"type": "clock", "monotonic_ns": 5, "realtime_ns": 6, "raw_ns": 5, "read_ns": 1, "keeper": None}
    lines = [
        json.dumps(whole),
        json.dumps({**whole, "monotonic_ns": "x"}),
        json.dumps({**whole, "monotonic_ns": 7, "realtime_ns": float("nan")}),
        json.dumps({**whole, "monotonic_ns": 4}),  # back in time
        json.dumps({**whole, "monotonic_ns": True}),
        json.dumps({**whole, "monotonic_ns": 8, "max_error_ns": -1}),
        json.dumps({"type": "clock"}),
        json.dumps({**whole, "monotonic_ns": 9, "of the future": 1}),
        '{"type":"clock","monot',
    ]
    (tmp_path / "k.jsonl").write_text("\n".join(lines))
    assert [r.monotonic_ns for r in readings(tmp_path / "k.jsonl")] == [5, 9]
    assert readings(tmp_path / "none.jsonl") == ()
