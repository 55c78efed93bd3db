"""The simulated home's pattern before the mirror, from the arm to the clocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_host.errors import EvidenceError
from recorder.home import record_home
from recorder.session import Session, open_session
from sync.align import align, truth_curves_ms
from sync.alignment import Alignment


def worst_sigmas(session: Session, found: Alignment) -> dict[str, float]:
    """Clock -> its largest error over its own sigma there."""
    curves = truth_curves_ms(found, json.loads(session.path("truth.json").read_text()))
    return {m.source: max(abs(curves[m.source][1])) / (m.pieces[0].sigma_ns * 1e-6) for m in found.maps}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_session_with_the_pattern_is_aligned_by_it_alone(tmp_path: Path):
    record_home(
        tmp_path / "s", duration_s=30, fast=True, seed=3, width=320, height=180, place="r01", mirror=True, workers=1
    )
    session = open_session(tmp_path / "s")
    found = align(session, only=["pattern"])
    assert {m.source for m in found.maps} == {"kit-02", "head"}, "by the room's camera and by the one on the head"
    assert {p.method for p in found.pairings} == {"pattern"}
    assert max(worst_sigmas(session, found).values()) < 3
    assert all(m.pieces[0].sigma_ns < 40e6 for m in found.maps)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_session_without_it_is_refused(recorded_home: Path):
    with pytest.raises(EvidenceError, match="pauses of unequal length"):
        align(open_session(recorded_home), only=["pattern"])
